// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemon/util/event_loop.hpp"
#include "daemon/util/worker.hpp"

namespace natra {

// Lets operations that are under way end in the kernel, in the books and with an answer
// to the caller. Runs before the objects that they refer to go, on an exception too.
class FinishOperations {
public:
    FinishOperations(EventLoop& core, Worker& worker) : core_(core), worker_(worker) {}
    ~FinishOperations() {
        do worker_.wait_idle();
        while (core_.drain());
    }
    FinishOperations(const FinishOperations&) = delete;
    FinishOperations& operator=(const FinishOperations&) = delete;

private:
    EventLoop& core_;
    Worker& worker_;
};

}  // namespace natra
