// SPDX-License-Identifier: Apache-2.0
// The table from which natrad lists heavy flows.
#include "fixture.hpp"

namespace natra::test {
namespace {

using datapath::Shaper;

class HeavyTable : public AllHeavyTest {
protected:
    // Found again after heavy_flow(0), which is const for its users.
    natra_heavy_flow& flow() {
        for (natra_heavy_flow& slot : state().heavy) {
            if (slot.hash != 0) return slot;
        }
        throw std::logic_error("no heavy flow");
    }
};
NATRA_BOTH_VARIANTS(HeavyTable);

TEST_P(HeavyTable, CountsWhatPassesIsMarkedAndIsDropped) {
    config().ce_ns = 5 * second;
    const std::uint64_t before = monotonic_ns();
    limiter().run(udp_packet());
    queue(100 * second);
    limiter().run(udp_packet(1000, 2));
    queue(2000 * second);
    limiter().run(udp_packet());
    limiter().run(udp_packet());
    ASSERT_EQ(limiter().heavy_flows(), 1U);
    EXPECT_EQ(flow().packets, 2U);
    EXPECT_EQ(flow().bytes, 2 * packet_bytes);
    EXPECT_EQ(flow().marked_packets, 1U);
    EXPECT_EQ(flow().dropped_packets, 2U);
    EXPECT_EQ(flow().dropped_bytes, 2 * packet_bytes);
    EXPECT_GE(flow().first_ns, before);
    EXPECT_LE(flow().last_ns, monotonic_ns());
    EXPECT_LT(flow().first_ns, flow().last_ns);
    EXPECT_EQ(flow().window_bytes, 2 * packet_bytes);
    EXPECT_EQ(flow().previous_window_bytes, 0U);
}

TEST_P(HeavyTable, WindowsRollEverySecond) {
    limiter().run(udp_packet());
    limiter().run(udp_packet());
    const std::uint64_t start = flow().window_start_ns -= second;
    limiter().run(udp_packet());
    EXPECT_EQ(flow().previous_window_bytes, 2 * packet_bytes);
    EXPECT_EQ(flow().window_bytes, packet_bytes);
    EXPECT_EQ(flow().window_start_ns, start + second);
    // after a silent second the previous window is an empty one
    flow().window_start_ns -= 5 * second;
    limiter().run(udp_packet());
    EXPECT_EQ(flow().previous_window_bytes, 0U);
    EXPECT_EQ(flow().window_bytes, packet_bytes);
    EXPECT_GT(flow().window_start_ns, start + second);
    EXPECT_EQ(flow().bytes, 4 * packet_bytes);
}

TEST_P(HeavyTable, OverflowsAreCountedAndKeepWhoIsThere) {
    constexpr std::uint16_t flows = 1000;
    for (std::uint16_t sport = 1; sport <= flows; ++sport) limiter().run(udp_packet(sport));
    EXPECT_LE(limiter().heavy_flows(), std::size_t{NATRA_HEAVY_SLOTS});
    EXPECT_GE(limiter().heavy_flows(), std::size_t{NATRA_HEAVY_SLOTS} - 8);
    EXPECT_EQ(state().heavy_table_misses + limiter().heavy_flows(), flows);
    for (const natra_heavy_flow& slot : state().heavy) {
        if (slot.hash != 0) {
            EXPECT_EQ(slot.packets, 1U);
        }
    }
}

TEST_P(HeavyTable, IdleFlowsGiveWay) {
    for (std::uint16_t sport = 1; sport <= 1000; ++sport) limiter().run(udp_packet(sport));
    for (natra_heavy_flow& slot : state().heavy) slot.last_ns -= 2 * second;
    const std::uint64_t misses = state().heavy_table_misses;
    limiter().run(udp_packet(2000));
    EXPECT_EQ(state().heavy_table_misses, misses);
    int found = 0;
    for (const natra_heavy_flow& slot : state().heavy) {
        if (slot.key.sport != __builtin_bswap16(2000)) continue;
        ++found;
        EXPECT_EQ(slot.packets, 1U);
        EXPECT_EQ(slot.bytes, packet_bytes) << "nothing is left of the flow that was there";
        EXPECT_EQ(slot.dropped_bytes + slot.previous_window_bytes + slot.marked_packets, 0U);
    }
    EXPECT_EQ(found, 1);
}

TEST_P(HeavyTable, AFlowThatSpillsIsCountedOnlyIfItIsListed) {
    limiter().run(udp_packet());
    set_tau(config().guard);
    state().small_clock_ns = monotonic_ns() + 1000 * second;
    limiter().age_cells(20 * second);
    limiter().run(udp_packet());
    limiter().run(udp_packet(2));
    EXPECT_EQ(limiter().counters().spilled_packets, 2U);
    EXPECT_EQ(limiter().heavy_flows(), 1U);
    EXPECT_EQ(flow().packets, 2U);
}

}  // namespace
}  // namespace natra::test
