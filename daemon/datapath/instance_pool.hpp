// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "daemon/datapath/instance.hpp"

namespace natra::datapath {

// Loaded programs in reserve, so that an ADD does not wait for the verifier (8 ms
// a program). A thread of its own keeps the pool at its size, and out of the way:
// it has the lowest priority, and while more than half is left it waits until
// nobody has taken one for a while, since an ADD takes two and goes on working.
class InstancePool {
public:
    explicit InstancePool(std::size_t size);
    ~InstancePool();
    InstancePool(const InstancePool&) = delete;
    InstancePool& operator=(const InstancePool&) = delete;

    // Any thread. Loads one itself when the reserve is empty.
    Result<Instance> take();
    [[nodiscard]] std::size_t ready() const;
    // Why the last refill failed; empty when it did not.
    [[nodiscard]] std::optional<Error> last_error() const;

private:
    void refill();
    [[nodiscard]] bool may_wait() const;  // mutex_ is held

    const std::size_t size_;
    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Instance> ready_;
    std::chrono::steady_clock::time_point last_take_;
    std::optional<Error> error_;
    bool stop_ = false;
    std::thread thread_;
};

}  // namespace natra::datapath
