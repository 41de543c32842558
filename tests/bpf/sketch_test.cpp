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
        // T is 32 kB and drains at 8 kB/s: tests are quick against that
        limit(Shaper::htb, 100'000);
        never_use_up_the_allowance();
        never_drop_for_delay();
        set_horizon(1000 * second);
    }

    // Strangers' clocks and what waits have no part in it.
    bool is_heavy(const Packet& packet, std::uint32_t wire_len = 0) {
        limiter().forget_flows();
        std::fill(std::begin(state().stranger_clock), std::end(state().stranger_clock), 0);
        return limiter().run(packet, {.wire_len = wire_len}).priority == for_class(NATRA_HTB_HEAVY_MINOR);
    }
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
    const std::uint32_t heavy = now_units() + config().tau_max + units(2 * second);
    for (std::uint32_t low = 0; low < NATRA_SKETCH_ROWS; ++low) {
        fill(heavy);
        fill_row(low, limiter().unused_cell());
        EXPECT_FALSE(is_heavy(udp_packet())) << "row " << low;
        EXPECT_EQ(std::count(std::begin(state().cell[low]), std::end(state().cell[low]), limiter().unused_cell()),
                  NATRA_SKETCH_COLS - 1);
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

TEST_P(Sketch, EstimateIsCutSoThatAFlowThatStopsIsSmallSoon) {
    for (int i = 0; i < 100; ++i) {
        limiter().run(udp_packet());
        state().total_clock_ns = 0;  // no queue that would keep it heavy
    }
    const auto tau = static_cast<std::uint32_t>(config().tau_flow);
    EXPECT_GT(limiter().highest_cell(), tau);
    EXPECT_LE(limiter().highest_cell(), tau + config().excess_cap);
    limiter().age(100 * ms + 10 * ms);
    // what is left is at most the threshold
    EXPECT_LE(limiter().highest_cell(), tau);
    limiter().age(std::uint64_t{tau} << config().unit_shift);
    EXPECT_FALSE(is_heavy(udp_packet()));
}

TEST_P(Sketch, DroppedPacketsCount) {
    // or a flood would be small again as soon as all of it is dropped
    set_horizon(0);
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
