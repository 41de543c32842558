// SPDX-License-Identifier: Apache-2.0
#include "api/answer_cache.hpp"

#include <algorithm>

namespace natra::api {

SharedResponse AnswerCache::get(const std::string& question, std::uint64_t revision, std::chrono::milliseconds patience,
                                const std::function<Response()>& make) {
    const auto slot = slot_of(question);
    const std::unique_lock turn(slot->turn, patience);
    if (!turn) return shared(make());
    const auto now = Clock::now();
    if (slot->made != Clock::time_point() && slot->revision == revision && now - slot->made < max_age_)
        return slot->answer;
    auto answer = shared(make());
    // What could not be answered is asked again.
    slot->made = answer->status == 200 ? now : Clock::time_point();
    slot->answer = answer;
    slot->revision = revision;
    return answer;
}

std::shared_ptr<AnswerCache::Slot> AnswerCache::slot_of(const std::string& question) {
    const std::lock_guard lock(mutex_);
    const auto found =
        std::find_if(slots_.begin(), slots_.end(), [&](const auto& each) { return each->question == question; });
    if (found != slots_.end()) {
        slots_.splice(slots_.begin(), slots_, found);
    } else {
        // Threads that hold one that goes keep it until they are done.
        while (slots_.size() >= most_) slots_.pop_back();
        slots_.push_front(std::make_shared<Slot>());
        slots_.front()->question = question;
    }
    return slots_.front();
}

}  // namespace natra::api
