// SPDX-License-Identifier: Apache-2.0
#include "dbus/call_budget.hpp"

#include <gtest/gtest.h>

namespace natra::dbus {
namespace {

using namespace std::chrono_literals;

constexpr uid_t alice = 1000;
constexpr uid_t bob = 1001;
constexpr uid_t carol = 1002;
const CallBudget::Clock::time_point start(1h);

// What a user gets who calls all the time, each call of 1 ms.
std::chrono::milliseconds used_by(CallBudget& budget, uid_t user, std::chrono::seconds time) {
    std::chrono::milliseconds used{0};
    for (auto now = start; now < start + time; now += 1ms) {
        if (!budget.admits(user, now)) continue;
        budget.charge(user, 1ms, now);
        used += 1ms;
    }
    return used;
}

TEST(CallBudget, AUserHasAShareAndWhatMayBeUsedAtOnce) {
    CallBudget budget;
    const auto used = used_by(budget, alice, 100s);
    EXPECT_NEAR(static_cast<double>(used.count()), 10'000 + 100, 10);
}

TEST(CallBudget, OneUsersDebtIsNotAnothers) {
    CallBudget budget;
    budget.charge(alice, 150ms, start);
    EXPECT_FALSE(budget.admits(alice, start));
    EXPECT_FALSE(budget.admits(alice, start + 499ms));
    EXPECT_TRUE(budget.admits(alice, start + 501ms));
    EXPECT_TRUE(budget.admits(bob, start + 300ms));
}

TEST(CallBudget, ALongCallIsPaidForAfterwards) {
    CallBudget budget;
    EXPECT_TRUE(budget.admits(alice, start));
    budget.charge(alice, 2s, start);
    EXPECT_FALSE(budget.admits(alice, start + 18s));
    EXPECT_TRUE(budget.admits(alice, start + 20s));
}

TEST(CallBudget, AnothersLongCallIsSoonForgotten) {
    CallBudget budget;
    budget.charge(alice, 2s, start);
    EXPECT_TRUE(budget.admits(bob, start));
    budget.charge(alice, 2s, start + 20s);
    budget.charge(carol, 2s, start + 20s);
    EXPECT_TRUE(budget.admits(bob, start + 20s + 251ms));
}

TEST(CallBudget, ManyUsersHaveOneShareTogether) {
    CallBudget budget;
    std::chrono::milliseconds used{0};
    for (auto now = start; now < start + 100s; now += 1ms)
        for (uid_t user = 1000; user < 1050; ++user)
            if (budget.admits(user, now)) {
                budget.charge(user, 1ms, now);
                used += 1ms;
            }
    EXPECT_NEAR(static_cast<double>(used.count()), 20'000 + 100, 60);
    EXPECT_FALSE(budget.admits(carol, start + 100s));
}

TEST(CallBudget, WhoHasPaidIsForgotten) {
    CallBudget budget;
    for (uid_t user = 0; user < 10'000; ++user) budget.charge(user, 10us, start + user * 1ms);
    EXPECT_LT(budget.debtors(), 200U);
}

}  // namespace
}  // namespace natra::dbus
