// SPDX-License-Identifier: Apache-2.0
// Answers of a test's server that come later.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace natra::api {

// Answers that are not given yet.
class Pending {
public:
    void add(std::function<void()> give) {
        const std::lock_guard lock(mutex_);
        give_.push_back(std::move(give));
    }
    [[nodiscard]] std::size_t count() {
        const std::lock_guard lock(mutex_);
        return give_.size();
    }
    [[nodiscard]] bool comes_to(std::size_t count) {
        for (int i = 0; i < 2000 && this->count() != count; ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        return this->count() == count;
    }
    // From a thread that is none of the server's.
    void give_all() {
        std::vector<std::function<void()>> all;
        {
            const std::lock_guard lock(mutex_);
            all.swap(give_);
        }
        for (const auto& give : all) give();
    }

private:
    std::mutex mutex_;
    std::vector<std::function<void()>> give_;
};

}  // namespace natra::api
