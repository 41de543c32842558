// SPDX-License-Identifier: Apache-2.0
#include "api/queue_delay.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/datapath/counters.hpp"

namespace natra::api {
namespace {

using testing::HasSubstr;

natra_counters some() {
    natra_counters counters{};
    counters.wait_packets[0] = 5;
    counters.wait_packets[3] = 2;
    counters.wait_packets[NATRA_WAIT_BUCKETS - 1] = 1;
    counters.wait_ns = 2'503'000'000;
    return counters;
}

TEST(QueueDelay, BoundsRise) {
    EXPECT_TRUE(std::is_sorted(datapath::wait_bounds_ns.begin(), datapath::wait_bounds_ns.end(), std::less_equal<>()));
    EXPECT_EQ(datapath::wait_bounds_ns.front(), 100'000U);
    EXPECT_EQ(datapath::wait_bounds_ns.back(), 1'000'000'000U) << "no bound is missing";
}

TEST(QueueDelay, BucketsAreCumulative) {
    Exposition out;
    out.family("x_seconds", "histogram", "X.");
    write_queue_delay(out, some(), "pod=\"web\"");
    EXPECT_EQ(out.take(), "# HELP x_seconds X.\n"
                          "# TYPE x_seconds histogram\n"
                          "x_seconds_bucket{pod=\"web\",le=\"0.0001\"} 5\n"
                          "x_seconds_bucket{pod=\"web\",le=\"0.0005\"} 5\n"
                          "x_seconds_bucket{pod=\"web\",le=\"0.001\"} 5\n"
                          "x_seconds_bucket{pod=\"web\",le=\"0.0025\"} 7\n"
                          "x_seconds_bucket{pod=\"web\",le=\"0.005\"} 7\n"
                          "x_seconds_bucket{pod=\"web\",le=\"0.01\"} 7\n"
                          "x_seconds_bucket{pod=\"web\",le=\"0.025\"} 7\n"
                          "x_seconds_bucket{pod=\"web\",le=\"0.05\"} 7\n"
                          "x_seconds_bucket{pod=\"web\",le=\"0.1\"} 7\n"
                          "x_seconds_bucket{pod=\"web\",le=\"0.25\"} 7\n"
                          "x_seconds_bucket{pod=\"web\",le=\"1\"} 7\n"
                          "x_seconds_bucket{pod=\"web\",le=\"+Inf\"} 8\n"
                          "x_seconds_sum{pod=\"web\"} 2.503\n"
                          "x_seconds_count{pod=\"web\"} 8\n");
}

TEST(QueueDelay, NothingPacedHasNoSeries) {
    Exposition out;
    write_queue_delay(out, {}, "pod=\"web\"");
    EXPECT_EQ(out.take(), "");
}

TEST(QueueDelay, IsAListInJson) {
    const auto found = queue_delay_json(some());
    EXPECT_EQ(found["packets"], 8);
    EXPECT_EQ(found["sumSeconds"], 2.503);
    ASSERT_EQ(found["buckets"].size(), NATRA_WAIT_BUCKETS);
    EXPECT_EQ(found["buckets"][3], (Json{{"atMostSeconds", 0.0025}, {"packets", 2}}));
    EXPECT_EQ(found["buckets"].back(), (Json{{"atMostSeconds", nullptr}, {"packets", 1}}));
    EXPECT_EQ(queue_delay_json({})["packets"], 0);
}

TEST(Counters, AddsEveryMember) {
    natra_counters sum = some();
    natra_counters other{};
    auto* words = reinterpret_cast<__u64*>(&other);
    for (std::size_t i = 0; i < sizeof other / sizeof *words; ++i) words[i] = i + 1;
    datapath::add(sum, other);
    EXPECT_EQ(sum.fast_packets, 1U);
    EXPECT_EQ(sum.spilled_bytes, 10U);
    EXPECT_EQ(sum.wait_packets[0], 5U + 11U);
    EXPECT_EQ(sum.wait_packets[NATRA_WAIT_BUCKETS - 1], 1U + 22U);
    EXPECT_EQ(sum.wait_ns, 2'503'000'000U + 23U);
}

}  // namespace
}  // namespace natra::api
