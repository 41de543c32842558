// SPDX-License-Identifier: Apache-2.0
// Flows that were not met before: one flow together, however many they are.
#include <set>

#include "fixture.hpp"

namespace natra::test {
namespace {

using datapath::Shaper;

Packet nth_flow(std::uint32_t number, std::size_t length = 1000) {
    return eth / ip4("10.1." + std::to_string(number / 60'000) + ".1", "10.0.0.2") /
           udp(static_cast<std::uint16_t>(1 + number % 60'000)) / payload(length - 42);
}

class Strangers : public LimiterTest {
protected:
    void SetUp() override {
        LimiterTest::SetUp();
        if (IsSkipped()) return;
        limit(Shaper::htb);  // a lone flow may send 32 kB in a row, which takes 393 ms
        never_use_up_the_allowance();
        never_drop_for_delay();
        set_horizon(1000 * second);
    }
    std::uint64_t charged(int clock) {
        const std::uint64_t now = monotonic_ns() >> config().unit_shift;
        return state().stranger_clock[clock] > now ? state().stranger_clock[clock] - now : 0;
    }
    // Runs the packet; whether it is a stranger's, which one of their clocks pays for.
    bool is_stranger(const Packet& packet) {
        const std::uint32_t tau[] = {config().tau_min, config().tau_max};
        set_tau(config().guard);
        state().stranger_clock[0] = state().stranger_clock[1] = 0;
        EXPECT_TRUE(passes_at_once(packet));
        config().tau_min = tau[0];
        config().tau_max = tau[1];
        return state().stranger_clock[0] + state().stranger_clock[1] != 0;
    }
    void flood(std::uint32_t flows) {
        for (std::uint32_t i = 0; i < flows; ++i) {
            limiter().run(nth_flow(next_++));
            state().total_clock_ns = 0;
        }
    }
    std::size_t fair_cells_in_use() {
        std::size_t used = 0;
        for (const auto& row : state().fair)
            used += std::size(row) - std::count(std::begin(row), std::end(row), limiter().unused_cell());
        return used;
    }

    std::uint32_t next_ = 0;
};
NATRA_BOTH_VARIANTS(Strangers);

TEST_P(Strangers, AreOneFlowToTheSketch) {
    std::uint64_t bytes = 0;
    while (bytes < 100'000 && passes_at_once(nth_flow(next_++))) bytes += 1000;
    EXPECT_GE(bytes, 32'000U);
    EXPECT_LE(bytes, 40'000U) << "what drains meanwhile included";
    EXPECT_FALSE(passes_at_once(nth_flow(next_++)));
    limiter().age(100 * ms);
    bytes = 0;
    for (compete(1); bytes < 100'000 && passes_at_once(nth_flow(next_++)); compete(1)) bytes += 1000;
    EXPECT_NEAR(static_cast<double>(bytes), 0.1 * 125'000 / 1.5, 3000) << "two thirds of a flow's share";
}

TEST_P(Strangers, OfShortPacketsHaveAClockOfTheirOwn) {
    limiter().introduce(udp_packet());
    while (passes_at_once(nth_flow(next_++, 257))) {
    }
    EXPECT_TRUE(passes_at_once(nth_flow(next_++, 256)));
    EXPECT_FALSE(passes_at_once(nth_flow(next_++, 257)));
    while (passes_at_once(nth_flow(next_++, 64))) {
    }
    EXPECT_FALSE(passes_at_once(nth_flow(next_++, 64)));
    EXPECT_TRUE(passes_at_once(udp_packet())) << "flows that were met go on";
}

TEST_P(Strangers, AClockInOtherUnitsIsEmpty) {
    // left over by a packet that a change of the limit met half way
    for (auto& clock : state().stranger_clock) clock = 2 * (monotonic_ns() >> config().unit_shift);
    EXPECT_TRUE(passes_at_once(nth_flow(next_++)));
    EXPECT_TRUE(passes_at_once(nth_flow(next_++, 64)));
}

TEST_P(Strangers, WhatIsRefusedTheFastWayIsNotCharged) {
    while (passes_at_once(nth_flow(next_++))) {
    }
    const std::uint64_t clock = state().stranger_clock[1];
    flood(10);
    EXPECT_EQ(state().stranger_clock[1], clock);
}

TEST_P(Strangers, AreOneFlowToTheCount) {
    make_all_heavy();
    flood(3000);
    EXPECT_LE(state().activity.bits, 3U);  // 1 but for a fingerprint that is somebody's by chance
    EXPECT_GE(state().activity.bits, 1U);
}

TEST_P(Strangers, AreOneFlowToFairness) {
    make_all_heavy();
    limiter().introduce(udp_packet());
    flood(3000);
    EXPECT_LE(fair_cells_in_use(), 3U * NATRA_FAIR_ROWS);
    EXPECT_GT(furthest_ahead(), 3.9 * config().fair_min) << "and an unfair one";
    compete(8);
    queue(second);
    config().aqm_target_ns = 100 * ms;
    EXPECT_EQ(limiter().run(nth_flow(next_++)).verdict, verdict_drop);
    EXPECT_EQ(limiter().run(udp_packet()).verdict, verdict_pass);
}

TEST_P(Strangers, PayFairnessForWhatPassesAtOnceAsWell) {
    compete(8);
    EXPECT_TRUE(passes_at_once(nth_flow(next_++)));
    EXPECT_EQ(fair_cells_in_use(), std::size_t{NATRA_FAIR_ROWS});
    EXPECT_NEAR(furthest_ahead(), units(15 * 8 * cost(packet_bytes) / 16), units(10 * ms));
    limiter().introduce(udp_packet());
    EXPECT_TRUE(passes_at_once(udp_packet()));
    EXPECT_EQ(fair_cells_in_use(), std::size_t{NATRA_FAIR_ROWS}) << "flows that were met do not";
}

TEST_P(Strangers, AFlowIsMetWithItsSecondPacket) {
    EXPECT_TRUE(is_stranger(udp_packet()));
    EXPECT_FALSE(is_stranger(udp_packet()));
    EXPECT_TRUE(is_stranger(udp_packet(2)));
}

TEST_P(Strangers, AFlowIsForgottenAfterFourSeconds) {
    for (const bool twice : {false, true}) {
        limiter().forget_flows();
        for (int i = 0; i < (twice ? 2 : 1); ++i) limiter().run(udp_packet());
        limiter().age(4200 * ms);
        EXPECT_FALSE(is_stranger(udp_packet()));
        limiter().age(4400 * ms);
        EXPECT_TRUE(is_stranger(udp_packet()));
    }
}

TEST_P(Strangers, AFlowThatWasMetTwiceKeepsItsPlaceInAFlood) {
    constexpr std::uint16_t flows = 300;
    std::set<std::uint16_t> known;
    for (std::uint16_t flow = 1; flow <= flows; ++flow) {
        limiter().run(udp_packet(flow));
        if (!is_stranger(udp_packet(flow))) known.insert(flow);
    }
    EXPECT_GE(known.size(), 280U) << "two of a set have room";
    make_all_heavy();
    for (int second_of_flood = 0; second_of_flood < 3; ++second_of_flood) {
        flood(5000);
        limiter().age(second);
    }
    set_tau(0);
    std::size_t lost = 0;
    for (const std::uint16_t flow : known) {
        limiter().forget_waits();
        lost += is_stranger(udp_packet(flow)) ? 1U : 0U;
    }
    EXPECT_LT(lost, known.size() / 8) << "of flows that rested for seconds";
}

// Or a few packets a second would keep everybody else out for ever.
TEST_P(Strangers, AFlowGetsAPlaceFromThoseThatRest) {
    make_all_heavy();
    for (std::uint32_t i = 0; i < 20'000; ++i) limiter().introduce(nth_flow(i));
    limiter().forget_waits();
    limiter().age(700 * ms);
    int strange = 0;
    for (std::uint16_t flow = 1; flow <= 20; ++flow) {
        for (int i = 0; i < 2000; ++i) {
            limiter().run(udp_packet(flow));
            state().total_clock_ns = 0;
        }
        limiter().forget_waits();
        strange += is_stranger(udp_packet(flow)) ? 1 : 0;
    }
    EXPECT_LT(strange, 4);
}

// Those that find no room share an entry, which is nobody else's.
TEST_P(Strangers, NoFlowHasTheEntryOfThoseWithoutRoom) {
    for (std::uint32_t i = 0; i < 3000; ++i) {
        limiter().forget_flows();
        limiter().introduce(nth_flow(i, 64));
        ASSERT_EQ(state().met[NATRA_MET_SLOTS].tag >> 31, 0U) << i;  // a fingerprint has the top bit
    }
}

TEST_P(Strangers, InAFloodAFlowIsMetAllTheSame) {
    make_all_heavy();
    flood(5000);
    // its packets come between thousands of others of the same moment
    int strange = 0;
    for (std::uint16_t flow = 1; flow <= 100; ++flow) {
        for (int i = 0; i < 30; ++i) {
            limiter().run(udp_packet(flow));
            flood(20);
        }
        limiter().forget_waits();
        strange += is_stranger(udp_packet(flow)) ? 1 : 0;
    }
    EXPECT_LT(strange, 10);
}

}  // namespace
}  // namespace natra::test
