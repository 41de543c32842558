// SPDX-License-Identifier: Apache-2.0
#include "dbus/call_budget.hpp"

#include <algorithm>

namespace natra::dbus {
namespace {

constexpr int whole = 100;
constexpr std::size_t many = 64;

}  // namespace

bool CallBudget::in_time(Clock::time_point paid, int share, Clock::time_point now) {
    return paid < now + at_once * whole / share;
}

void CallBudget::pay(Clock::time_point& paid, int share, Clock::duration took, Clock::time_point now) {
    paid = std::max(paid, now) + took * whole / share;
}

bool CallBudget::admits(uid_t user, Clock::time_point now) const {
    if (!in_time(all_paid_, share_of_all, now)) return false;
    const auto found = paid_.find(user);
    return found == paid_.end() || in_time(found->second, share_of_user, now);
}

void CallBudget::charge(uid_t user, Clock::duration took, Clock::time_point now) {
    if (paid_.size() >= many) std::erase_if(paid_, [now](const auto& each) { return each.second <= now; });
    pay(paid_[user], share_of_user, took, now);
    // One long call is no reason to refuse everybody else for long.
    pay(all_paid_, share_of_all, std::min<Clock::duration>(took, at_once / 2), now);
}

}  // namespace natra::dbus
