// SPDX-License-Identifier: Apache-2.0
// Shares among heavy flows: who is ahead of the fair one is marked or dropped first.
#include <algorithm>
#include <bit>

#include "fixture.hpp"

namespace natra::test {
namespace {

using datapath::Shaper;

class Fairness : public AllHeavyTest {
protected:
    void SetUp() override {
        AllHeavyTest::SetUp();
        if (IsSkipped()) return;
        config().horizon_tcp_ns = config().horizon_other_ns = 9 * second;
        config().ce_ns = 4 * second;
        config().fair_ns = 10 * second;
    }

    // As many other heavy flows have been active in this epoch. Which bits they have does not matter.
    void others_active(int flows) {
        state().activity_epoch = monotonic_ns() >> 26;
        state().activity[0] = state().activity[1] = 0;
        for (int i = 0; i < flows; ++i) state().activity[0] |= 1ULL << i;
        state().activity[1] = state().activity[0];
    }
    int active() { return std::popcount(state().activity[0] | state().activity[1]); }

    // All flows are ahead of their fair share by so much.
    void ahead_of_share(std::uint64_t ns) {
        std::fill(std::begin(state().fair_clock_ns), std::end(state().fair_clock_ns), monotonic_ns() + ns);
    }
    Outcome run_with_queue(std::uint64_t ns, const Packet& packet) {
        others_active(8);
        queue(ns);
        return limiter().run(packet);
    }
};
NATRA_BOTH_VARIANTS(Fairness);

TEST_P(Fairness, FlowsAheadOfTheirShareAreDroppedOnceThereIsAQueue) {
    ahead_of_share(20 * second);
    EXPECT_EQ(run_with_queue(3 * second, udp_packet()).verdict, verdict_drop) << "from half the CE threshold on";
    EXPECT_EQ(run_with_queue(5 * second, udp_packet()).verdict, verdict_drop);
    EXPECT_EQ(run_with_queue(1 * second, udp_packet()).verdict, verdict_pass) << "without a queue nobody loses";
}

TEST_P(Fairness, RefusedPacketsAreChargedNowhere) {
    others_active(8);
    ahead_of_share(20 * second);
    const std::uint64_t fair = state().fair_clock_ns[0];
    const std::uint64_t total = queue(5 * second);
    EXPECT_EQ(limiter().run(udp_packet()).verdict, verdict_drop);
    EXPECT_EQ(state().total_clock_ns, total);
    EXPECT_EQ(std::count(std::begin(state().fair_clock_ns), std::end(state().fair_clock_ns), fair), NATRA_FAIR_BUCKETS);
    EXPECT_EQ(limiter().counters().dropped_packets, 1U);
}

TEST_P(Fairness, FlowsWithinTheirShareAreLeftAlone) {
    ahead_of_share(5 * second);
    EXPECT_EQ(run_with_queue(5 * second, udp_packet()).verdict, verdict_pass);
}

TEST_P(Fairness, ALoneFlowHasTheWholeRate) {
    ahead_of_share(100 * second);
    others_active(0);
    queue(5 * second);
    EXPECT_EQ(limiter().run(udp_packet()).verdict, verdict_pass);
    EXPECT_EQ(active(), 1);
}

TEST_P(Fairness, EcnCapableFlowsAreMarkedUntilTheyIgnoreIt) {
    ahead_of_share(20 * second);
    const Outcome marked = run_with_queue(3 * second, udp_packet(1000, 2));
    EXPECT_EQ(marked.verdict, verdict_pass);
    EXPECT_EQ(marked.data.at(15) & 3, 3);
    EXPECT_EQ(limiter().counters().marked_packets, 1U);
    // already marked on its way here: told already
    EXPECT_EQ(run_with_queue(3 * second, udp_packet(1000, 3)).verdict, verdict_pass);
    ahead_of_share(50 * second);
    EXPECT_EQ(run_with_queue(3 * second, udp_packet(1000, 2)).verdict, verdict_drop);
}

TEST_P(Fairness, SpilledPacketsHaveNoShare) {
    config().tau = config().guard;
    state().small_clock_ns = monotonic_ns() + 1000 * second;
    ahead_of_share(100 * second);
    const std::uint64_t fair = state().fair_clock_ns[0];
    EXPECT_EQ(run_with_queue(5 * second, udp_packet()).verdict, verdict_pass);
    EXPECT_EQ(std::count(std::begin(state().fair_clock_ns), std::end(state().fair_clock_ns), fair), NATRA_FAIR_BUCKETS);
}

TEST_P(Fairness, ChargeIsTheShareOfSevenEighthsOfTheFlows) {
    ahead_of_share(5 * second);
    const std::uint64_t before = state().fair_clock_ns[0];
    others_active(8);
    limiter().run(udp_packet());
    const auto flows = static_cast<std::uint64_t>(active());
    EXPECT_GE(flows, 8U);
    EXPECT_LE(flows, 9U);
    const auto charged = std::find_if(std::begin(state().fair_clock_ns), std::end(state().fair_clock_ns),
                                      [&](std::uint64_t clock) { return clock != before; });
    ASSERT_NE(charged, std::end(state().fair_clock_ns));
    EXPECT_EQ(*charged - before, cost(packet_bytes) * flows * 7 / 8);
}

TEST_P(Fairness, FlowsAreCountedForTwoEpochs) {
    const auto seen_after = [&](std::uint64_t epochs) {
        others_active(64);
        state().activity_epoch -= epochs;
        // which of the two words is the current one goes by the epoch's parity
        limiter().run(udp_packet());
        return active();
    };
    EXPECT_EQ(seen_after(0), 64);
    EXPECT_EQ(seen_after(1), 64) << "the previous epoch still counts";
    EXPECT_EQ(seen_after(2), 1);
    EXPECT_EQ(seen_after(1000), 1);
}

TEST_P(Fairness, FlowsSpreadOverTheBits) {
    others_active(0);
    for (std::uint16_t flow = 1; flow <= 16; ++flow) {
        state().activity_epoch = monotonic_ns() >> 26;
        limiter().run(udp_packet(flow));
        state().total_clock_ns = 0;
    }
    EXPECT_GE(active(), 11);  // 14.2 expected of 16 in 64 bits
    EXPECT_LE(active(), 16);
}

TEST_P(Fairness, PolicedFlowsPayOnceHalfTheBucketIsGone) {
    config().mode = NATRA_MODE_POLICE;
    config().burst_ns = 2 * second;  // less than any uptime
    ahead_of_share(20 * second);
    const auto verdict = [&](std::uint64_t credit, const Packet& packet) {
        others_active(8);
        state().total_clock_ns = monotonic_ns() - credit;
        return limiter().run(packet).verdict;
    };
    EXPECT_EQ(verdict(1500 * ms, udp_packet()), verdict_pass);
    EXPECT_EQ(verdict(500 * ms, udp_packet()), verdict_drop);
    EXPECT_EQ(verdict(500 * ms, udp_packet(1000, 2)), verdict_drop) << "marks have no queue to shorten";
    ahead_of_share(5 * second);
    EXPECT_EQ(verdict(500 * ms, udp_packet()), verdict_pass);
}

}  // namespace
}  // namespace natra::test
