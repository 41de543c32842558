// SPDX-License-Identifier: Apache-2.0
// A delay that stands: one packet is dropped after an interval, the next ones sooner and sooner.
#include <cmath>

#include "fixture.hpp"

namespace natra::test {
namespace {

using datapath::Shaper;

constexpr std::uint64_t target = second;
constexpr std::uint64_t interval = 10 * second;

class Aqm : public AllHeavyTest {
protected:
    void SetUp() override {
        AllHeavyTest::SetUp();
        if (IsSkipped()) return;
        config().aqm_target_ns = target;
        config().aqm_interval_ns = interval;
        mark_above(1500 * ms);
        limiter().introduce(udp_packet());
    }
    bool dropped(std::uint64_t delay, const Packet& packet = udp_packet(), std::uint64_t flows = 1) {
        compete(flows);
        queue(delay);
        return limiter().run(packet).verdict == verdict_drop;
    }
    // The delay has stood for an interval: the next packet is one to drop.
    void let_stand(std::uint64_t delay = 3 * second) {
        EXPECT_FALSE(dropped(delay));
        limiter().age(interval + 100 * ms);
    }
    double until_next() { return static_cast<double>(state().aqm.next_ns - monotonic_ns()); }
};
NATRA_BOTH_VARIANTS(Aqm);

TEST_P(Aqm, NothingIsDroppedBeforeTheDelayHasStoodAnInterval) {
    for (int i = 0; i < 9; ++i) {
        EXPECT_FALSE(dropped(3 * second));
        limiter().age(second);
    }
    EXPECT_FALSE(dropped(3 * second));
    limiter().age(1100 * ms);
    EXPECT_TRUE(dropped(3 * second));
    EXPECT_FALSE(dropped(3 * second)) << "only one";
}

TEST_P(Aqm, NextOneIsDroppedAfterTheIntervalThroughTheRoot) {
    let_stand();
    for (int count = 1; count <= 20; ++count) {
        SCOPED_TRACE(count);
        EXPECT_TRUE(dropped(3 * second));
        // in steps of a root of two
        const double exact = static_cast<double>(interval) / std::sqrt(count);
        EXPECT_GE(until_next(), std::max(exact * 0.99 - 1e8, 5.9e9));
        EXPECT_LE(until_next(), std::max(exact * 1.42, 6e9));
        EXPECT_FALSE(dropped(3 * second));
        const auto wait = static_cast<std::uint64_t>(until_next());
        limiter().age(wait - wait / 10);
        EXPECT_FALSE(dropped(3 * second));
        limiter().age(wait / 5);
    }
}

TEST_P(Aqm, ManyFlowsLoseSooner) {
    let_stand();
    EXPECT_TRUE(dropped(3 * second, udp_packet(), 16));
    EXPECT_NEAR(until_next(), static_cast<double>(interval) / 4, 3e8);
}

TEST_P(Aqm, NoSenderLosesTwoInOneQueue) {
    let_stand();
    EXPECT_TRUE(dropped(30 * second));
    EXPECT_NEAR(until_next(), 60e9, 3e8) << "longer than the interval";
    limiter().age(61 * second);
    EXPECT_TRUE(dropped(100 * second, udp_packet(), 4));
    EXPECT_NEAR(until_next(), 50e9, 3e8) << "each of four flows loses one in that time";
}

TEST_P(Aqm, BelowTheTargetItBeginsAnew) {
    let_stand();
    EXPECT_FALSE(dropped(900 * ms));
    EXPECT_EQ(state().aqm.above_ns, 0U);
    EXPECT_FALSE(dropped(3 * second));
    limiter().age(interval - 500 * ms);
    EXPECT_FALSE(dropped(3 * second));
    limiter().age(second);
    EXPECT_TRUE(dropped(3 * second));
}

TEST_P(Aqm, SoonAgainItGoesOnWhereItEnded) {
    let_stand();
    for (int i = 0; i < 8; ++i) {
        EXPECT_TRUE(dropped(3 * second));
        limiter().age(10 * second);
    }
    EXPECT_EQ(state().aqm.count, 8U);
    EXPECT_FALSE(dropped(0));
    EXPECT_FALSE(dropped(3 * second));
    EXPECT_EQ(state().aqm.count, 6U);
}

TEST_P(Aqm, SoonAgainIsAlsoBeforeTheNextOneWasDue) {
    let_stand();
    for (int i = 0; i < 8; ++i) {
        EXPECT_TRUE(dropped(3 * second));
        limiter().age(i < 7 ? 10 * second : 10 * ms);
    }
    EXPECT_FALSE(dropped(0));
    EXPECT_FALSE(dropped(3 * second));
    EXPECT_EQ(state().aqm.count, 6U);
}

TEST_P(Aqm, AfterALongTimeItHasForgotten) {
    let_stand();
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(dropped(3 * second));
        limiter().age(10 * second);
    }
    EXPECT_FALSE(dropped(0));
    // as if it had been dropped before there was a clock; a machine that was started just now is not older than that
    state().aqm.next_ns = monotonic_ns() - 17 * interval;
    EXPECT_FALSE(dropped(3 * second));
    EXPECT_EQ(state().aqm.count, 0U);
}

TEST_P(Aqm, FlowsThatAreNotHeavyForGoodLoseNothing) {
    limiter().introduce(udp_packet(2));
    let_stand();
    const auto tau = config().tau_max;
    set_tau(config().guard);
    for (int i = 0; i < 10; ++i) {
        state().small_clock_ns = monotonic_ns() + 1000 * second;
        EXPECT_FALSE(dropped(3 * second, udp_packet(2)));
    }
    EXPECT_EQ(limiter().counters().spilled_packets, 10U);
    set_tau(tau);
    EXPECT_TRUE(dropped(3 * second)) << "the next one of another flow";
}

TEST_P(Aqm, MarkedFlowsLoseNothing) {
    for (const unsigned ect : {1U, 2U, 3U}) {
        let_stand();
        EXPECT_FALSE(dropped(3 * second, udp_packet(1000, ect)));
        EXPECT_TRUE(dropped(3 * second));
        state().aqm = {};
    }
}

TEST_P(Aqm, AmongFlowsItTakesFromThoseThatHaveMoreThanTheirShareInTheQueue) {
    set_fair_bound(5 * second);
    let_stand(1500 * ms);
    ahead_of_share(0);
    EXPECT_FALSE(dropped(1500 * ms, udp_packet(), 4));
    ahead_of_share(second);
    EXPECT_TRUE(dropped(1500 * ms, udp_packet(), 4));
    state().aqm = {};
    let_stand(2500 * ms);
    ahead_of_share(0);
    EXPECT_TRUE(dropped(2500 * ms, udp_packet(), 4)) << "if there is none for so long, from any";
}

TEST_P(Aqm, HtbToo) {
    config().mode = NATRA_MODE_HTB;
    let_stand();
    EXPECT_TRUE(dropped(3 * second));
}

TEST_P(Aqm, PolicedPacketsWaitForNothing) {
    config().mode = NATRA_MODE_POLICE;
    for (int i = 0; i < 3; ++i) {
        state().total_clock_ns = 0;
        EXPECT_EQ(limiter().run(udp_packet()).verdict, verdict_pass);
        limiter().age(interval + ms);
    }
    EXPECT_EQ(state().aqm.above_ns, 0U);
}

TEST_P(Aqm, ToleratesEightFramesAtSlowRates) {
    limit(Shaper::edt);  // 1514 bytes are 12.1 ms
    make_all_heavy();
    for (int i = 0; i < 10; ++i) {
        EXPECT_FALSE(dropped(90 * ms));
        limiter().age(100 * ms);
    }
    EXPECT_FALSE(dropped(150 * ms));
    limiter().age(200 * ms);
    EXPECT_TRUE(dropped(150 * ms));
}

}  // namespace
}  // namespace natra::test
