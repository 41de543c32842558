// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/tamper.hpp"

#include <gtest/gtest.h>

#include "daemon/datapath/parameters.hpp"

namespace natra::pods {
namespace {

constexpr std::uint64_t second_us = 1'000'000;
constexpr std::uint64_t second_ns = 1'000'000'000;

TEST(TamperHistory, CountsWhatIsRecent) {
    TamperHistory history;
    EXPECT_EQ(history.recent(0), 0U);
    history.add(10 * second_us);
    history.add(20 * second_us);
    EXPECT_EQ(history.recent(20 * second_us), 2U);
    EXPECT_EQ(history.recent(69 * second_us), 2U);
    EXPECT_EQ(history.recent(70 * second_us), 1U);
    EXPECT_EQ(history.recent(80 * second_us), 0U);
}

TEST(TamperHistory, DoesNotGrowWithoutEnd) {
    TamperHistory history;
    for (std::uint64_t i = 0; i < 1000; ++i) history.add(i);
    EXPECT_GE(history.recent(1000), host_side_patience);
    EXPECT_LE(history.recent(1000), 16U);
}

struct Feed {
    datapath::Rate rate;
    OverrunMeter meter = {};
    std::uint64_t bytes = 0;
    std::uint64_t now_ns = 0;
    // Whether it overran within so many seconds of traffic at a multiple of the rate.
    bool overruns(double factor, int seconds) {
        for (int i = 0; i < seconds; ++i) {
            if (meter.overrun(rate, bytes, now_ns)) return true;
            now_ns += second_ns;
            bytes += static_cast<std::uint64_t>(factor * static_cast<double>(rate.rate_bps) / 8);
        }
        return meter.overrun(rate, bytes, now_ns);
    }
};

constexpr std::uint64_t rates[] = {64'000, 1'000'000, 20'000'000, 1'000'000'000, 40'000'000'000};

TEST(OverrunMeter, PassesTheRateForEver) {
    for (const auto rate : rates) EXPECT_FALSE(Feed{{.rate_bps = rate}}.overruns(1.05, 3600)) << rate;
}

TEST(OverrunMeter, FindsTwiceTheRateWithinSeconds) {
    for (const auto rate : rates)
        if (rate >= 20'000'000) {
            EXPECT_TRUE(Feed{{.rate_bps = rate}}.overruns(2, 2)) << rate;
        }
    EXPECT_TRUE(Feed{{.rate_bps = 1'000'000}}.overruns(5, 2));
    EXPECT_TRUE(Feed{{.rate_bps = 20'000'000}}.overruns(1.3, 5));
}

// All that a working limiter may let ahead at once: its burst, small flows, and the packets that waited.
TEST(OverrunMeter, PassesWhatALimiterLetsAhead) {
    for (const auto rate : rates)
        for (const std::uint64_t burst_ms : {0ULL, 5ULL, 1000ULL})
            for (const auto shaper : {datapath::Shaper::edt, datapath::Shaper::htb}) {
                const datapath::Rate limit{.rate_bps = rate, .burst_bits = rate / 1000 * burst_ms};
                const auto config = datapath::make_config({.rate_bps = rate,
                                                           .burst_bits = limit.burst_bits,
                                                           .shaper = shaper,
                                                           .direction = datapath::Direction::egress});
                const auto ahead_ns = config.burst_ns + config.small_allowance_min_ns + config.horizon_ns * 5 / 4;
                Feed feed{limit};
                EXPECT_FALSE(feed.overruns(0, 1));
                feed.bytes +=
                    static_cast<std::uint64_t>(static_cast<double>(ahead_ns) / 1e9 * static_cast<double>(rate) / 8);
                EXPECT_FALSE(feed.overruns(1, 10)) << rate << " " << burst_ms;
            }
}

// The program has a credit of the burst, and the qdisc has one.
TEST(OverrunMeter, CountsABurstTwice) {
    const datapath::Rate limit{.rate_bps = 20'000'000, .burst_bits = 800'000'000};
    const datapath::Rate without{.rate_bps = 20'000'000, .burst_bits = 8};  // bits, next to nothing
    EXPECT_DOUBLE_EQ(overrun_allowance(limit) - overrun_allowance(without), 2 * 100e6 - 2);
    for (const auto& [bytes, overruns] : {std::pair{200'000'000ULL, false}, {202'000'000ULL, true}}) {
        Feed feed{limit};
        EXPECT_FALSE(feed.overruns(0, 1));
        feed.bytes += bytes;
        EXPECT_EQ(feed.overruns(1, 1), overruns) << bytes;
    }
}

TEST(OverrunMeter, TakesAnUnsetBurstForTheDefaultOne) {
    const std::uint64_t rate_bps = 1'000'000'000;
    const datapath::Rate unset{.rate_bps = rate_bps};
    const datapath::Rate next_to_nothing{.rate_bps = rate_bps, .burst_bits = 8};
    EXPECT_DOUBLE_EQ(overrun_allowance(unset) - overrun_allowance(next_to_nothing), 0.05 * rate_bps / 8 - 2);
}

// Or one event is reported every second from then on, and the limit replaced again and again.
TEST(OverrunMeter, ReportsAnOverrunOnce) {
    Feed feed{{.rate_bps = 20'000'000}};
    EXPECT_TRUE(feed.overruns(10, 2));
    EXPECT_FALSE(feed.overruns(1, 60));
    EXPECT_TRUE(feed.overruns(10, 2)) << "and the next one, too";
}

TEST(OverrunMeter, BeginsAnewAfterAChangeOfRate) {
    Feed feed{{.rate_bps = 100'000'000}};
    EXPECT_FALSE(feed.overruns(1, 5));
    // What waited leaves at the old rate.
    feed.rate.rate_bps = 1'000'000;
    EXPECT_FALSE(feed.meter.overrun(feed.rate, feed.bytes, feed.now_ns));
    feed.bytes += 100'000'000 / 8 / 4;
    feed.now_ns += second_ns;
    EXPECT_FALSE(feed.overruns(1, 10));
    EXPECT_TRUE(feed.overruns(10, 5)) << "and is watched again";
}

TEST(OverrunMeter, TakesACounterThatWentBackForABeginning) {
    Feed feed{{.rate_bps = 20'000'000}};
    feed.bytes = 1'000'000'000;
    EXPECT_FALSE(feed.overruns(1, 2));
    feed.bytes = 0;
    EXPECT_FALSE(feed.overruns(1, 5));
}

}  // namespace
}  // namespace natra::pods
