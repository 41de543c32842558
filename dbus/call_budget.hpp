// SPDX-License-Identifier: Apache-2.0
// How much of the core thread's time users may take with their calls: each a share, and all of them together one. Pure.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>

namespace natra::dbus {

class CallBudget {
public:
    using Clock = std::chrono::steady_clock;

    // Of the time that passes, in per cent, and what may be used at once after a time without calls.
    static constexpr int share_of_user = 10;
    static constexpr int share_of_all = 20;
    static constexpr std::chrono::milliseconds at_once{100};

    // Whether the user has time left. A call that begins with little left may take long: the next ones pay for it.
    [[nodiscard]] bool admits(uid_t user, Clock::time_point now) const;
    void charge(uid_t user, Clock::duration took, Clock::time_point now);
    // Users with something to pay for; those who have paid are forgotten from time to time.
    [[nodiscard]] std::size_t debtors() const { return paid_.size(); }

private:
    static bool in_time(Clock::time_point paid, int share, Clock::time_point now);
    static void pay(Clock::time_point& paid, int share, Clock::duration took, Clock::time_point now);

    // Until when the time that was used is paid for.
    std::map<uid_t, Clock::time_point> paid_;
    Clock::time_point all_paid_;
};

}  // namespace natra::dbus
