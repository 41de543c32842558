// SPDX-License-Identifier: Apache-2.0
// Which flows become heavy, and when they stop.
#include <algorithm>

#include "fixture.hpp"

namespace natra::test {
namespace {

using datapath::Shaper;

class Sketch : public LimiterTest {
protected:
    void SetUp() override {
        LimiterTest::SetUp();
        if (IsSkipped()) return;
        // T is 32 kB and drains at 12.5 kB/s: tests are quick against that
        limit(Shaper::htb);
        never_use_up_the_allowance();
        config().horizon_tcp_ns = config().horizon_other_ns = 1000 * second;
    }

    bool is_heavy(const Packet& packet, std::uint32_t wire_len = 0) {
        return limiter().run(packet, {.wire_len = wire_len}).priority == for_class(NATRA_HTB_HEAVY_MINOR);
    }
    std::uint32_t now_units() { return static_cast<std::uint32_t>(monotonic_ns() >> config().unit_shift); }
    std::uint32_t units(std::uint64_t ns) { return static_cast<std::uint32_t>(ns >> config().unit_shift); }
    void fill_row(std::uint32_t row, std::uint32_t value) {
        std::fill(std::begin(state().cell[row]), std::end(state().cell[row]), value);
    }
    void fill(std::uint32_t value) {
        for (std::uint32_t row = 0; row < NATRA_SKETCH_ROWS; ++row) fill_row(row, value);
    }
};
NATRA_BOTH_VARIANTS(Sketch);

TEST_P(Sketch, FlowIsHeavyOnceItHasSentTheThreshold) {
    int passed = 0;
    while (passed < 100 && !is_heavy(udp_packet())) ++passed;
    EXPECT_GE(passed, 32);
    EXPECT_LE(passed, 34) << "32768 bytes, and what drains meanwhile";
    EXPECT_TRUE(is_heavy(udp_packet())) << "and stays so";
    EXPECT_FALSE(is_heavy(udp_packet(2))) << "others do not become so";
    EXPECT_EQ(limiter().heavy_flows(), 1U);
}

TEST_P(Sketch, OneLongSegmentIsHeavyAtOnce) {
    EXPECT_FALSE(is_heavy(tcp_packet(1), 30'000));
    EXPECT_TRUE(is_heavy(tcp_packet(2), 40'000));
}

TEST_P(Sketch, ManySmallFlowsStaySmall) {
    // ten flows keep one cell a row each; a thousand others have to collide with one of them in every row
    for (std::uint16_t flow = 1; flow <= 10; ++flow) {
        while (!is_heavy(udp_packet(flow), 20'000)) {
        }
    }
    int heavy = 0;
    for (std::uint16_t flow = 100; flow < 1100; ++flow) heavy += is_heavy(udp_packet(flow)) ? 1 : 0;
    EXPECT_EQ(heavy, 0);
}

TEST_P(Sketch, EstimateIsTheLowestRow) {
    const std::uint32_t heavy = now_units() + config().tau + units(2 * second);
    for (std::uint32_t low = 0; low < NATRA_SKETCH_ROWS; ++low) {
        fill(heavy);
        fill_row(low, 0);
        EXPECT_FALSE(is_heavy(udp_packet())) << "row " << low;
        EXPECT_EQ(std::count(std::begin(state().cell[low]), std::end(state().cell[low]), 0U), NATRA_SKETCH_COLS - 1);
        for (std::uint32_t row = 0; row < NATRA_SKETCH_ROWS; ++row) {
            if (row == low) continue;
            // conservative: rows above the estimate are not raised
            EXPECT_EQ(std::count(std::begin(state().cell[row]), std::end(state().cell[row]), heavy), NATRA_SKETCH_COLS);
        }
    }
    fill(heavy);
    EXPECT_TRUE(is_heavy(udp_packet()));
}

TEST_P(Sketch, CellsOfThePastAndOfBeforeAWrapAreEmpty) {
    for (const std::uint32_t offset : {0U - 1U, 0U - units(second), 0U - (1U << 31)}) {
        fill(now_units() + offset);
        EXPECT_FALSE(is_heavy(udp_packet(), 30'000)) << offset;
    }
    fill(now_units() + config().guard + units(10 * second));
    EXPECT_FALSE(is_heavy(udp_packet(), 30'000));
}

TEST_P(Sketch, ThresholdFallsAsSmallFlowsUseTheirAllowance) {
    constexpr std::uint64_t allowance = 10 * second;
    config().small_allowance_ns = config().small_allowance_min_ns = allowance;
    config().small_allowance_inv = (15ULL << 40) / (16 * allowance);
    const auto heavy_at = [&](std::uint64_t used, std::uint32_t bytes) {
        fill(0);
        state().small_clock_ns = monotonic_ns() + used;
        // of the two ways into the heavy class only the sketch makes a heavy flow
        const std::size_t before = limiter().heavy_flows();
        limiter().run(udp_packet(static_cast<std::uint16_t>(used / (100 * ms) + bytes)), {.wire_len = bytes});
        return limiter().heavy_flows() > before;
    };
    EXPECT_FALSE(heavy_at(0, 30'000));
    EXPECT_FALSE(heavy_at(allowance / 2, 16'500));  // half: 1/2 + 1/32
    EXPECT_TRUE(heavy_at(allowance / 2, 18'500));
    EXPECT_FALSE(heavy_at(allowance, 2'000));  // all: 1/16
    EXPECT_TRUE(heavy_at(allowance, 2'300));
    EXPECT_FALSE(heavy_at(5 * allowance, 2'000)) << "the floor";
}

TEST_P(Sketch, EstimateIsCutSoThatAFlowThatStopsIsSmallSoon) {
    for (int i = 0; i < 100; ++i) {
        limiter().run(udp_packet());
        state().total_clock_ns = 0;  // no queue that would keep it heavy
    }
    EXPECT_GT(limiter().highest_cell(), config().tau);
    EXPECT_LE(limiter().highest_cell(), config().tau + config().excess_cap);
    limiter().age_cells(100 * ms + 10 * ms);
    // what is left is at most the threshold
    EXPECT_LE(limiter().highest_cell(), config().tau);
    limiter().age_cells(config().tau * (1ULL << config().unit_shift));
    EXPECT_FALSE(is_heavy(udp_packet()));
}

TEST_P(Sketch, FlowStaysHeavyAsLongAsItsPacketsWait) {
    // spilled behind five seconds of queue
    state().small_clock_ns = monotonic_ns() + 2000 * second;
    queue(5 * second);
    EXPECT_TRUE(is_heavy(udp_packet(1)));
    state().small_clock_ns = 0;
    EXPECT_EQ(limiter().counters().spilled_packets, 1U);

    EXPECT_FALSE(is_heavy(udp_packet(2))) << "another flow passes at once";
    limiter().age_cells(4 * second);
    EXPECT_TRUE(is_heavy(udp_packet(1))) << "this one would overtake its own packet";
    EXPECT_EQ(limiter().counters().spilled_packets, 1U);
}

TEST_P(Sketch, ShortPacketsDoNotOvertakeLongOnesOfTheirFlow) {
    state().small_clock_ns = monotonic_ns() + 2000 * second;
    queue(5 * second);
    EXPECT_TRUE(is_heavy(udp_packet(1)));
    state().small_clock_ns = 0;
    limiter().age_cells(5 * second - 60 * ms);
    EXPECT_TRUE(is_heavy(eth / ip4("10.0.0.1", "10.0.0.2") / udp(1) / payload(64)));
}

TEST_P(Sketch, FlowIsSmallAgainWhenItsPacketHasLeft) {
    const Packet request = eth / ip4("10.0.0.1", "10.0.0.2") / udp(1) / payload(64);
    state().small_clock_ns = monotonic_ns() + 2000 * second;
    queue(5 * second);
    EXPECT_TRUE(is_heavy(request));
    state().small_clock_ns = 0;
    limiter().age_cells(5 * second + 1 * ms);
    EXPECT_FALSE(is_heavy(request)) << "a delay must not keep an exchange heavy";
}

TEST_P(Sketch, PolicedFlowsHaveNothingToWaitFor) {
    config().mode = NATRA_MODE_POLICE;
    config().burst_ns = 10 * ms;
    state().small_clock_ns = monotonic_ns() + 2000 * second;
    // longer than the bucket: a link would carry it for 160 ms, a policer lets it pass at once
    EXPECT_EQ(limiter().run(udp_packet(), {.wire_len = 20'000}).verdict, verdict_pass);
    EXPECT_EQ(limiter().counters().spilled_packets, 1U);
    EXPECT_LT(limiter().highest_cell(), config().tau);
}

TEST_P(Sketch, DroppedPacketsCount) {
    // or a flood would be small again as soon as all of it is dropped
    config().horizon_other_ns = 0;
    queue(100 * second);
    state().small_clock_ns = monotonic_ns() + 2000 * second;
    for (int i = 0; i < 40; ++i) limiter().run(udp_packet());
    EXPECT_EQ(limiter().counters().dropped_packets, 40U);
    state().small_clock_ns = 0;
    EXPECT_TRUE(is_heavy(udp_packet(), 1000) || limiter().counters().dropped_packets == 41U);
    EXPECT_EQ(limiter().heavy_flows(), 1U);
}

}  // namespace
}  // namespace natra::test
