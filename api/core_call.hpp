// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <utility>

#include "daemon/util/event_loop.hpp"

namespace natra::api {

// Takes a value from the core thread to a worker that waits for it.
template <class T> class Answer {
public:
    // At most once. A worker that has given up never sees it.
    void give(T value) { promise_.set_value(std::move(value)); }
    void fail(std::exception_ptr error) { promise_.set_exception(std::move(error)); }
    // Absent when the time is over. Throws what the call threw.
    std::optional<T> wait(std::chrono::milliseconds time) {
        auto future = promise_.get_future();
        if (future.wait_for(time) != std::future_status::ready) return std::nullopt;
        return future.get();
    }

private:
    std::promise<T> promise_;
};

// Runs `ask` on the core thread and waits for what it returns; as Answer::wait(). `ask` may run after the call
// returned: what it refers to must last as long as the loop does.
template <class Ask> auto ask_core(EventLoop& core, std::chrono::milliseconds time, Ask ask) {
    using T = decltype(ask());
    const auto answer = std::make_shared<Answer<T>>();
    core.post_request([answer, ask = std::move(ask)] {
        try {
            answer->give(ask());
        } catch (...) {
            answer->fail(std::current_exception());
        }
    });
    return answer->wait(time);
}

}  // namespace natra::api
