// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/statistics.hpp"

#include <gtest/gtest.h>

namespace natra::traffic {
namespace {

using namespace std::chrono_literals;

// 1 us, 2 us, ... count us, largest first.
std::vector<std::chrono::nanoseconds> ladder(int count) {
    std::vector<std::chrono::nanoseconds> out;
    for (int i = count; i > 0; --i) out.emplace_back(std::chrono::microseconds(i));
    return out;
}

TEST(Summary, PercentilesAreNearestRanks) {
    const auto summary = summary_of(ladder(200));
    EXPECT_EQ(summary["samples"], 200);
    EXPECT_EQ(summary["p50_us"], 100.0);
    EXPECT_EQ(summary["p90_us"], 180.0);
    EXPECT_EQ(summary["p99_us"], 198.0);
    EXPECT_EQ(summary["max_us"], 200.0);
}

TEST(Summary, PercentilesThatTooFewSamplesCannotTellAreNull) {
    EXPECT_TRUE(summary_of(ladder(99))["p99_us"].is_null());
    EXPECT_EQ(summary_of(ladder(100))["p99_us"], 99.0);
    EXPECT_TRUE(summary_of(ladder(9))["p90_us"].is_null());
    EXPECT_EQ(summary_of(ladder(10))["p90_us"], 9.0);
    const auto one = summary_of(ladder(1));
    EXPECT_TRUE(one["p50_us"].is_null());
    EXPECT_EQ(one["max_us"], 1.0);
    EXPECT_TRUE(summary_of({})["max_us"].is_null());
}

TEST(Jain, FromEqualSharesToOneThatHasAll) {
    EXPECT_DOUBLE_EQ(jain_of({5, 5, 5, 5}), 1.0);
    EXPECT_DOUBLE_EQ(jain_of({8, 0, 0, 0}), 0.25);
    EXPECT_DOUBLE_EQ(jain_of({3, 1}), 0.8);
    EXPECT_DOUBLE_EQ(jain_of({0, 0}), 0.0);
}

TEST(Timeline, CountsByTheTenthOfASecond) {
    Timeline timeline(2s);
    timeline.add(0ms, 1);
    timeline.add(99ms, 2);
    timeline.add(100ms, 4);
    timeline.add(999ms, 8);
    timeline.add(1000ms, 16);
    timeline.add(1999ms, 32);
    EXPECT_EQ(timeline.first_second_bytes(), 15U);
    EXPECT_EQ(timeline.later_bytes(), 48U);
    const auto shown = timeline.to_json();
    ASSERT_EQ(shown.size(), 20U);
    EXPECT_EQ(shown[0], 3);
    EXPECT_EQ(shown[1], 4);
    EXPECT_EQ(shown[19], 32);
}

TEST(Timeline, DropsWhatComesAfterTheEnd) {
    Timeline timeline(2s);
    timeline.add(2000ms, 1);
    timeline.add(1h, 1);
    EXPECT_EQ(timeline.first_second_bytes() + timeline.later_bytes(), 0U);
}

TEST(Timeline, TotalOfSeveral) {
    EXPECT_EQ(Timeline::total({{1, 2}, {10, 20}}), nlohmann::json({11, 22}));
    EXPECT_EQ(Timeline::total({}), nlohmann::json::array());
}

}  // namespace
}  // namespace natra::traffic
