// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/limits_edit.hpp"

#include <gtest/gtest.h>

namespace natra::pods {
namespace {

const Override before{.ingress = {.rate_bps = 5, .burst_bits = 6}, .egress = {.rate_bps = 7}};
const ValueEdit ended(std::in_place);

TEST(LimitsEdit, LeavesWhatItDoesNotName) { EXPECT_EQ(edited(before, {}), before); }

TEST(LimitsEdit, SetsAndEndsValueByValue) {
    const auto after = edited(before, {.ingress = {.rate_bps = 9U}, .egress = {.rate_bps = ended, .burst_bits = 1U}});
    EXPECT_EQ(after.ingress, (DirectionOverride{.rate_bps = 9, .burst_bits = 6}));
    EXPECT_EQ(after.egress, (DirectionOverride{.burst_bits = 1}));
}

TEST(LimitsEdit, ALiftedLimitForgetsItsBurst) {
    EXPECT_EQ(edited(before, {.ingress = {.rate_bps = 0U}}).ingress, DirectionOverride{.rate_bps = 0});
}

TEST(LimitsEdit, ABurstGivenWithALiftIsKept) {
    EXPECT_EQ(edited(before, {.ingress = {.rate_bps = 0U, .burst_bits = 8U}}).ingress,
              (DirectionOverride{.rate_bps = 0, .burst_bits = 8}));
}

TEST(LimitsEdit, AnEndOfTheRatesOverrideIsNoLift) {
    EXPECT_EQ(edited(before, {.ingress = {.rate_bps = ended}}).ingress, DirectionOverride{.burst_bits = 6});
}

TEST(LimitsEdit, OfAnOverrideSetsWhatIsPresent) {
    const auto edit = to_edit(Override{.egress = {.burst_bits = 3}});
    EXPECT_FALSE(edit.ingress.any());
    EXPECT_EQ(edited(before, edit).egress, (DirectionOverride{.rate_bps = 7, .burst_bits = 3}));
}

TEST(LimitsEdit, ClearingKeepsThePins) {
    auto pinned = before;
    pinned.pins.shaper = datapath::Shaper::htb;
    const auto after = edited(pinned, clear_edit());
    EXPECT_FALSE(after.ingress.any());
    EXPECT_FALSE(after.egress.any());
    EXPECT_EQ(after.pins, pinned.pins);
}

}  // namespace
}  // namespace natra::pods
