// SPDX-License-Identifier: Apache-2.0
#include "api/mailbox.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <exception>
#include <system_error>
#include <utility>

#include "daemon/util/error.hpp"
#include "daemon/util/log.hpp"

namespace natra::api {

Mailbox::Mailbox() : wakeup_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!wakeup_) throw std::system_error(errno, std::generic_category(), "eventfd");
}

bool Mailbox::post(Task task) {
    {
        const std::lock_guard lock(mutex_);
        if (closed_) return false;
        tasks_.push_back(std::move(task));
    }
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(wakeup_.get(), &one, sizeof one);
    return true;
}

std::vector<Mailbox::Task> Mailbox::take() {
    // First: what is posted from now on makes it readable again.
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(wakeup_.get(), &count, sizeof count);
    const std::lock_guard lock(mutex_);
    return std::exchange(tasks_, {});
}

void Mailbox::run() {
    for (auto& task : take()) {
        try {
            std::exchange(task, {})();
        } catch (const std::exception& e) {
            log::error(concat("REST: ", e.what()));
        }
    }
}

void Mailbox::close() {
    std::vector<Task> dropped;
    const std::lock_guard lock(mutex_);
    closed_ = true;
    dropped.swap(tasks_);
}

}  // namespace natra::api
