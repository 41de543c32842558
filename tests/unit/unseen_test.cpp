// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/unseen.hpp"

#include <gtest/gtest.h>

namespace natra::pods {
namespace {

TEST(UnseenMeter, IsQuietWhateverIsUnderWay) {
    UnseenMeter meter;
    // Read before and after, the sender has sent 1 GB between.
    for (int i = 0; i < 10; ++i) EXPECT_FALSE(meter.unseen(-1'000'000'000, 1'000'000'000));
    EXPECT_FALSE(meter.unseen(0, 0));
    EXPECT_FALSE(meter.unseen(UnseenMeter::tolerance, UnseenMeter::tolerance));
}

TEST(UnseenMeter, FindsWhatTheSenderCannotHaveSent) {
    UnseenMeter meter;
    EXPECT_FALSE(meter.unseen(-5, 5));
    EXPECT_TRUE(meter.unseen(UnseenMeter::tolerance + 1, 1'000'000));
    // Told once; more than that may be new.
    EXPECT_FALSE(meter.unseen(1'000'000, 1'000'000));
    EXPECT_FALSE(meter.unseen(1'000'000 + UnseenMeter::tolerance, 2'000'000));
    EXPECT_TRUE(meter.unseen(1'000'001 + UnseenMeter::tolerance, 2'000'000));
}

TEST(UnseenMeter, FindsATrickleBesideOrdinaryTraffic) {
    UnseenMeter meter;
    constexpr std::int64_t under_way = 4000;
    int found = 0;
    for (std::int64_t past = 0; past < 4 * UnseenMeter::tolerance; past += 1000)
        found += meter.unseen(past - under_way, past + under_way) ? 1 : 0;
    EXPECT_GE(found, 2);
    EXPECT_LE(found, 4);
}

TEST(UnseenMeter, BeginsAnewWithTheCounters) {
    UnseenMeter meter;
    EXPECT_TRUE(meter.unseen(1'000'000, 1'000'000));
    EXPECT_FALSE(meter.unseen(0, 0));
    EXPECT_TRUE(meter.unseen(UnseenMeter::tolerance + 1, UnseenMeter::tolerance + 1));
}

}  // namespace
}  // namespace natra::pods
