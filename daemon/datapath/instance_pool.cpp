// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/instance_pool.hpp"

#include <pthread.h>
#include <sys/resource.h>

#include <cerrno>

#include "daemon/util/log.hpp"

namespace natra::datapath {
namespace {

// Longer than an ADD takes, shorter than the pause between two waves of them.
constexpr auto quiet = std::chrono::milliseconds(50);

}  // namespace

InstancePool::InstancePool(std::size_t size) : size_(size), thread_([this] { refill(); }) {}

InstancePool::~InstancePool() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

Result<Instance> InstancePool::take() {
    {
        const std::lock_guard lock(mutex_);
        if (!ready_.empty()) {
            auto instance = std::move(ready_.front());
            ready_.pop_front();
            last_take_ = std::chrono::steady_clock::now();
            wake_.notify_one();
            return instance;
        }
    }
    return Instance::load();
}

std::size_t InstancePool::ready() const {
    const std::lock_guard lock(mutex_);
    return ready_.size();
}

std::optional<Error> InstancePool::last_error() const {
    const std::lock_guard lock(mutex_);
    return error_;
}

bool InstancePool::may_wait() const {
    return !stop_ && ready_.size() * 2 > size_ && std::chrono::steady_clock::now() < last_take_ + quiet;
}

void InstancePool::refill() {
    pthread_setname_np(pthread_self(), "natra-pool");
    // This thread alone gives way.
    if (::setpriority(PRIO_PROCESS, 0, 19) < 0)
        log::warning(fail_errno(Error::Code::kernel, errno, "instance pool: lowest priority").what);
    std::unique_lock lock(mutex_);
    while (!stop_) {
        if (ready_.size() >= size_) {
            wake_.wait(lock, [this] { return stop_ || ready_.size() < size_; });
            continue;
        }
        if (may_wait()) {
            wake_.wait_until(lock, last_take_ + quiet);
            continue;
        }
        lock.unlock();
        auto instance = Instance::load();
        lock.lock();
        if (instance) {
            error_.reset();
            ready_.push_back(*std::move(instance));
            continue;
        }
        if (!error_) log::error(concat("instance pool: ", instance.error().what));
        error_ = std::move(instance).error();
        // The cause (memory, a capability) may pass; do not spin on it.
        wake_.wait_for(lock, std::chrono::seconds(5), [this] { return stop_; });
    }
}

}  // namespace natra::datapath
