// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "daemon/datapath/instance.hpp"

namespace natra::datapath {

// Loaded programs in reserve, so that an ADD does not wait for the verifier.
// A thread of its own keeps the pool at its size.
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

    const std::size_t size_;
    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Instance> ready_;
    std::optional<Error> error_;
    bool stop_ = false;
    std::thread thread_;
};

}  // namespace natra::datapath
