// SPDX-License-Identifier: Apache-2.0
// Answers about all pods, which take milliseconds to make and which many ask for at once: each is made once for all who
// ask within a moment, as long as nothing but figures has changed.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>

#include "api/message.hpp"

namespace natra::api {

// Any thread.
class AnswerCache {
public:
    // max_age: how old figures may be. most: answers that are kept, the latest.
    AnswerCache(std::chrono::milliseconds max_age, std::size_t most) : max_age_(max_age), most_(most) {}

    // The answer to `question`, as it was at `revision` or later. Who comes while another thread makes the same one
    // waits for it, at most for `patience`; then it is made for each. Throws what `make` throws.
    SharedResponse get(const std::string& question, std::uint64_t revision, std::chrono::milliseconds patience,
                       const std::function<Response()>& make);

private:
    using Clock = std::chrono::steady_clock;
    struct Slot {
        std::string question;
        std::timed_mutex turn;  // guards what follows
        SharedResponse answer;
        std::uint64_t revision = 0;
        Clock::time_point made;  // when it was begun; the epoch: never
    };
    std::shared_ptr<Slot> slot_of(const std::string& question);

    const std::chrono::milliseconds max_age_;
    const std::size_t most_;
    std::mutex mutex_;                        // guards slots_
    std::list<std::shared_ptr<Slot>> slots_;  // the latest first
};

}  // namespace natra::api
