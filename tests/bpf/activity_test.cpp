// SPDX-License-Identifier: Apache-2.0
// How many flows compete for the rate: those with a packet on the heavy path in this epoch or in the one before it.
#include <cmath>

#include "fixture.hpp"

namespace natra::test {
namespace {

using datapath::Shaper;

class Activity : public AllHeavyTest {
protected:
    static Packet flow(std::uint32_t number) {
        return eth / ip4("10.0.0." + std::to_string(1 + number / 1000), "10.1.0.2") /
               udp(static_cast<std::uint16_t>(1000 + number % 1000)) / payload(958);
    }
    void introduce(std::uint32_t flows) {
        for (std::uint32_t i = 0; i < flows; ++i) limiter().introduce(flow(i));
    }
    void send(std::uint32_t flows) {
        for (std::uint32_t i = 0; i < flows; ++i) limiter().run(flow(i));
    }
    // What the program takes a stranger's packet to compete with, itself included: its price says so.
    std::uint64_t competing() {
        const natra_state before = state();
        limiter().forget_flows();
        set_tau(config().guard);
        config().small_allowance_ns = 1000 * second;
        state().stranger_clock[1] = 0;
        state().small_clock_ns = 0;
        const std::uint64_t start = now_units64();
        limiter().run(flow(60'000));
        const double units = static_cast<double>(state().stranger_clock[1] - start);
        const double one =
            std::ldexp(1000.0 * static_cast<double>(config().flow_mult), -static_cast<int>(config().flow_shift));
        state() = before;
        return static_cast<std::uint64_t>(units / one);
    }
    std::uint64_t now_units64() { return monotonic_ns() >> config().unit_shift; }
};
NATRA_BOTH_VARIANTS(Activity);

TEST_P(Activity, CountsDistinctFlows) {
    for (const std::uint32_t flows : {1U, 4U, 16U, 64U, 100U, 300U}) {
        SCOPED_TRACE(flows);
        limiter().reset();
        SetUp();
        introduce(flows);
        for (int round = 0; round < 2; ++round) send(flows);
        const double counted = static_cast<double>(competing()) - 1;  // the stranger itself
        EXPECT_NEAR(counted, flows, std::max(0.1 * flows, 0.5));
    }
}

TEST_P(Activity, CountsNoFurtherThanItCan) {
    compete(NATRA_MAX_FLOWS);
    EXPECT_EQ(competing(), std::uint64_t{NATRA_MAX_FLOWS});
    state().activity.flows = static_cast<std::uint32_t>(flows_of_bits(64 * NATRA_ACTIVITY_WORDS));
    EXPECT_EQ(competing(), std::uint64_t{NATRA_MAX_FLOWS});
}

TEST_P(Activity, FlowsThatPassAtOnceAreNotCounted) {
    make_all_small();
    introduce(10);
    send(10);
    EXPECT_EQ(limiter().counters().fast_packets, 10U);
    EXPECT_EQ(state().activity.bits, 0U);
}

TEST_P(Activity, AFlowThatSpillsIsCountedFromAnEighthOfTheThresholdOn) {
    set_tau(config().guard);
    limiter().introduce(udp_packet());
    state().small_clock_ns = monotonic_ns() + 1000 * second;
    for (int i = 0; i < 4; ++i) limiter().run(udp_packet());
    EXPECT_EQ(state().activity.bits, 0U) << "4000 bytes of 32768";
    limiter().run(udp_packet());
    EXPECT_EQ(state().activity.bits, 1U);
}

TEST_P(Activity, AnEpochIsFourPacketsOfEachFlow) {
    introduce(2);
    send(2);
    const std::uint32_t first = state().activity.epoch;
    for (int i = 0; i < 2; ++i) send(2);
    EXPECT_EQ(state().activity.packets, 6U);
    limiter().age(260 * ms);
    limiter().run(flow(0));
    EXPECT_EQ(state().activity.epoch, first) << "one packet too few";
    limiter().run(flow(1));
    EXPECT_EQ(state().activity.epoch, first) << "ends with the next one";
    limiter().run(flow(0));
    EXPECT_EQ(state().activity.epoch, first + 1);
    EXPECT_EQ(competing(), 3U) << "the epoch before counts as well";
}

TEST_P(Activity, AnEpochIsAQuarterOfASecondAtLeast) {
    introduce(2);
    send(2);
    const std::uint32_t first = state().activity.epoch;
    for (int i = 0; i < 50; ++i) send(2);
    EXPECT_EQ(state().activity.epoch, first);
    limiter().age(260 * ms);
    send(1);
    EXPECT_EQ(state().activity.epoch, first + 1);
}

// Another CPU's packet is a little younger.
TEST_P(Activity, AnEpochThatBeganLaterIsNotOver) {
    introduce(3);
    send(3);
    const std::uint32_t first = state().activity.epoch;
    state().activity.start_ns = monotonic_ns() + second;
    state().activity.until_ns = state().activity.start_ns + 2 * second;
    send(3);
    EXPECT_EQ(state().activity.epoch, first);
    EXPECT_EQ(competing(), 4U);
}

TEST_P(Activity, AnEpochEndsByTime) {
    // 7 flows of 8 frames of 12.1 ms each: 0.68 s
    introduce(7);
    send(7);
    const std::uint32_t first = state().activity.epoch;
    limiter().age(600 * ms);
    send(1);
    EXPECT_EQ(state().activity.epoch, first);
    limiter().age(100 * ms);
    send(1);
    EXPECT_EQ(state().activity.epoch, first + 1);
    EXPECT_EQ(competing(), 8U);
}

TEST_P(Activity, OldFlowsAreForgotten) {
    introduce(100);
    send(100);
    EXPECT_NEAR(static_cast<double>(competing()), 101, 10);
    for (int epoch = 0; epoch < 2; ++epoch) {
        limiter().age(1900 * ms);
        send(1);
        EXPECT_NEAR(static_cast<double>(competing()), 101, 10) << "in this epoch or in the one before it";
        limiter().age(200 * ms);
        send(1);
    }
    EXPECT_EQ(competing(), 2U);
}

TEST_P(Activity, AfterASilenceNobodyCompetes) {
    introduce(100);
    send(100);
    limiter().age(4100 * ms);
    EXPECT_EQ(competing(), 1U);
    limiter().run(udp_packet());
    EXPECT_EQ(state().activity.bits, 1U);
}

TEST_P(Activity, AFlowIsNotedOnce) {
    introduce(3);
    for (int i = 0; i < 10; ++i) send(3);
    EXPECT_EQ(state().activity.bits, 3U);
    EXPECT_EQ(state().activity.current_bits, 3U);
}

}  // namespace
}  // namespace natra::test
