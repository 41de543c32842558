// SPDX-License-Identifier: Apache-2.0
// Shares among heavy flows: who is ahead of the fair one is marked or dropped first.
#include "fixture.hpp"

namespace natra::test {
namespace {

using datapath::Shaper;

// A bound of a second, and a target of a second that delays have to be above for ever.
class Fairness : public AllHeavyTest {
protected:
    void SetUp() override {
        AllHeavyTest::SetUp();
        if (IsSkipped()) return;
        set_horizon(9 * second);
        mark_above(6 * second);
        set_fair_bound(second);
        config().aqm_target_ns = second;
        config().aqm_interval_ns = 100'000 * second;
        limiter().introduce(udp_packet());
    }

    Outcome run(std::uint64_t ahead, std::uint64_t delay, const Packet& packet = udp_packet(),
                std::uint64_t flows = 8) {
        compete(flows);
        ahead_of_share(ahead);
        queue(delay);
        return limiter().run(packet);
    }
    int refused_of_500(std::uint64_t ahead, std::uint64_t delay) {
        int refused = 0;
        for (int i = 0; i < 500; ++i) refused += run(ahead, delay).verdict == verdict_drop ? 1 : 0;
        return refused;
    }
};
NATRA_BOTH_VARIANTS(Fairness);

constexpr std::uint64_t standing = 3 * second;      // longer than twice the target
constexpr std::uint64_t shorter = 1500 * ms;        // longer than the target
constexpr std::uint64_t brief = 600 * ms;           // longer than half of it
constexpr std::uint64_t tolerable = 300 * ms;       // shorter
constexpr std::uint64_t unfair = 2500 * ms;         // beyond two bounds
constexpr std::uint64_t stubborn = 3200 * ms;       // beyond three
constexpr std::uint64_t deaf_to_marks = 4500 * ms;  // beyond four

TEST_P(Fairness, NobodyIsRefusedUpToTheBound) {
    EXPECT_EQ(refused_of_500(0, standing), 0);
    EXPECT_EQ(refused_of_500(950 * ms, standing), 0);
}

TEST_P(Fairness, BetweenOneBoundAndTwoSomeAreRefused) {
    EXPECT_NEAR(refused_of_500(1250 * ms, standing), 125, 60);
    EXPECT_NEAR(refused_of_500(1750 * ms, standing), 375, 60);
}

TEST_P(Fairness, BeyondTwoBoundsAllAreRefused) { EXPECT_EQ(refused_of_500(2100 * ms, standing), 500); }

TEST_P(Fairness, NobodyLosesWithoutAQueue) {
    EXPECT_EQ(run(unfair, shorter).verdict, verdict_pass);
    EXPECT_EQ(run(stubborn, tolerable).verdict, verdict_pass);
    EXPECT_EQ(run(deaf_to_marks, tolerable).verdict, verdict_pass);
}

TEST_P(Fairness, StubbornFlowsLoseFromHalfTheTargetOn) {
    EXPECT_EQ(run(stubborn, brief).verdict, verdict_drop);
    EXPECT_EQ(run(stubborn, shorter).verdict, verdict_drop);
    EXPECT_EQ(run(stubborn, standing).verdict, verdict_drop);
}

TEST_P(Fairness, RefusedPacketsAreChargedNowhere) {
    compete(8);
    ahead_of_share(unfair);
    const std::uint32_t fair = state().fair[0][0];
    const std::uint64_t total = queue(5 * second);
    EXPECT_EQ(limiter().run(udp_packet()).verdict, verdict_drop);
    EXPECT_EQ(state().total_clock_ns, total);
    for (const auto& row : state().fair) EXPECT_EQ(std::count(std::begin(row), std::end(row), fair), NATRA_SKETCH_COLS);
    EXPECT_EQ(limiter().counters().dropped_packets, 1U);
}

TEST_P(Fairness, ALoneFlowHasTheWholeRate) {
    EXPECT_EQ(run(deaf_to_marks, standing, udp_packet(), 1).verdict, verdict_pass);
}

TEST_P(Fairness, EcnCapableFlowsAreMarkedUntilTheyIgnoreIt) {
    for (const unsigned ect : {1U, 2U}) {
        const Outcome marked = run(stubborn, 3500 * ms, udp_packet(1000, ect));
        EXPECT_EQ(marked.verdict, verdict_pass);
        EXPECT_EQ(marked.data.at(15) & 3, 3) << "above half of the threshold";
        EXPECT_EQ(run(deaf_to_marks, 3500 * ms, udp_packet(1000, ect)).verdict, verdict_drop);
    }
    EXPECT_EQ(limiter().counters().marked_packets, 2U);
    // already marked on its way here: told already
    EXPECT_EQ(run(stubborn, 3500 * ms, udp_packet(1000, 3)).verdict, verdict_pass);
    EXPECT_EQ(limiter().counters().marked_packets, 2U);
}

TEST_P(Fairness, FlowsWithinTheirShareAreMarkedAboveTheWholeThreshold) {
    EXPECT_EQ(run(500 * ms, 3500 * ms, udp_packet(1000, 2)).data.at(15) & 3, 2);
    EXPECT_EQ(run(500 * ms, 6500 * ms, udp_packet(1000, 2)).data.at(15) & 3, 3);
}

TEST_P(Fairness, ClocksRunNoFurtherThanWhereMarksEnd) {
    const std::uint32_t bound = config().fair_min;
    for (int i = 0; i < 200; ++i) {  // 56 ms each
        compete(8);
        queue(0);
        EXPECT_EQ(limiter().run(udp_packet()).verdict, verdict_pass);
        EXPECT_LE(furthest_ahead(), 4 * bound + 1);
    }
    EXPECT_GT(furthest_ahead(), 3.9 * bound);
}

TEST_P(Fairness, ChargeIsFifteenSixteenthsOfTheShare) {
    compete(8);
    const std::uint32_t before = now_units();
    limiter().run(udp_packet());
    const double part = 15.0 / 16 * 8 * static_cast<double>(cost(packet_bytes) >> config().unit_shift);
    EXPECT_LE(furthest_ahead(), part * 1.001 + 2);
    EXPECT_GE(furthest_ahead(), part * 0.999 - 2 - (now_units() - before));
}

TEST_P(Fairness, SpilledPacketsAreChargedTheirShare) {
    set_tau(config().guard);
    state().small_clock_ns = monotonic_ns() + 1000 * second;
    EXPECT_EQ(run(0, 0).verdict, verdict_pass);
    EXPECT_EQ(limiter().counters().spilled_packets, 1U);
    EXPECT_GT(furthest_ahead(), units(50 * ms));
}

TEST_P(Fairness, BoundIsTwoSegmentsOrTheLengthOfAShortFlow) {
    limit(Shaper::edt);  // two segments are 1.05 s; 32 kB at 15/16 of an eighth of the rate 1.97 s, of a 64th 15.7 s
    make_all_heavy();
    set_horizon(9 * second);
    config().aqm_interval_ns = 100'000 * second;
    const auto verdict = [&](std::uint64_t flows, std::uint64_t ahead) {
        return run(ahead, standing, udp_packet(), flows).verdict;
    };
    EXPECT_EQ(verdict(2, 1000 * ms), verdict_pass);
    EXPECT_EQ(verdict(2, 2200 * ms), verdict_drop);
    EXPECT_EQ(verdict(8, 1900 * ms), verdict_pass);
    EXPECT_EQ(verdict(8, 4000 * ms), verdict_drop);
    EXPECT_EQ(verdict(64, 3900 * ms), verdict_pass) << "no more than 4 s";
    EXPECT_EQ(verdict(64, 8200 * ms), verdict_drop);
}

TEST_P(Fairness, PolicedFlowsPayOnceHalfTheBucketIsGone) {
    config().mode = NATRA_MODE_POLICE;
    config().burst_ns = 2 * second;  // less than any uptime
    const auto verdict = [&](std::uint64_t ahead, std::uint64_t credit, const Packet& packet) {
        compete(8);
        ahead_of_share(ahead);
        state().total_clock_ns = monotonic_ns() - credit;
        return limiter().run(packet).verdict;
    };
    EXPECT_EQ(verdict(unfair, 1500 * ms, udp_packet()), verdict_pass);
    EXPECT_EQ(verdict(unfair, 500 * ms, udp_packet()), verdict_drop);
    EXPECT_EQ(verdict(unfair, 500 * ms, udp_packet(1000, 2)), verdict_drop) << "marks have no queue to shorten";
    EXPECT_EQ(verdict(500 * ms, 500 * ms, udp_packet()), verdict_pass);
}

}  // namespace
}  // namespace natra::test
