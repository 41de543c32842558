// SPDX-License-Identifier: Apache-2.0
// The privilege of passing at once: for a flow that takes less than two thirds of its fair share, over a simulated
// time.
#include "fixture.hpp"

namespace natra::test {
namespace {

using datapath::Shaper;

class FairShare : public LimiterTest {
protected:
    static constexpr std::uint64_t rate_bps = 10'000'000;

    void SetUp() override {
        LimiterTest::SetUp();
        if (IsSkipped()) return;
        limit(Shaper::edt, rate_bps);
        never_drop_for_delay();
    }

    // The flow sends at a part of the rate, beside so many others. True if all of its packets pass at once for 15 s.
    bool stays_privileged(const Packet& packet, double part_of_rate, std::uint64_t flows, bool counted = true) {
        const auto length = static_cast<double>(packet.bytes().size());
        const auto interval = static_cast<std::uint64_t>(length * 8e9 / (part_of_rate * rate_bps));
        limiter().reset();
        SetUp();
        limiter().introduce(packet);
        const std::uint64_t start = monotonic_ns();
        std::uint64_t aged = 0;
        for (std::uint64_t due = interval; due < 15 * second; due += interval) {
            compete(flows, counted);
            if (!passes_at_once(packet)) return false;
            // what the test itself takes passes as well
            const std::uint64_t passed = aged + monotonic_ns() - start;
            if (passed >= due) continue;
            limiter().age(due - passed);
            aged += due - passed;
        }
        return true;
    }
    // Bytes that a flow may send in a row before a packet of it does not pass at once.
    std::uint64_t burst(std::uint64_t flows) {
        limiter().reset();
        SetUp();
        never_use_up_the_allowance();
        limiter().introduce(udp_packet());
        std::uint64_t bytes = 0;
        for (compete(flows); bytes < 100'000 && passes_at_once(udp_packet()); compete(flows)) bytes += packet_bytes;
        return bytes;
    }
};
NATRA_BOTH_VARIANTS(FairShare);

TEST_P(FairShare, IsKeptBelowTwoThirdsByAnyFlow) {
    const Packet packets[] = {
        udp_packet(),
        tcp_packet(),
        eth / ip6("fd00::1", "fd00::2") / udp() / payload(900),
        eth / ip6("fd00::1", "fd00::2") / tcp() / payload(900),
        eth / ip4("10.0.0.1", "10.0.0.2") / icmp() / payload(900),
        eth / ip4("10.0.0.1", "10.0.0.2") / other_protocol(50) / payload(900),
        eth / vlan(5) / ip4("10.0.0.1", "10.0.0.2") / sctp() / payload(900),
    };
    for (const Packet& packet : packets) {
        SCOPED_TRACE(&packet - packets);
        EXPECT_TRUE(stays_privileged(packet, 0.62 / 8, 8));
        EXPECT_FALSE(stays_privileged(packet, 0.75 / 8, 8));
    }
}

TEST_P(FairShare, IsOfTheFlowsThatCompete) {
    for (const std::uint64_t flows : {1U, 2U, 30U}) {
        SCOPED_TRACE(flows);
        EXPECT_TRUE(stays_privileged(udp_packet(), 0.62 / static_cast<double>(flows), flows));
        EXPECT_FALSE(stays_privileged(udp_packet(), 0.75 / static_cast<double>(flows), flows));
    }
}

TEST_P(FairShare, AFlowThatWasNotCountedCountsItself) {
    EXPECT_TRUE(stays_privileged(udp_packet(), 0.31, 1, false));
    EXPECT_FALSE(stays_privileged(udp_packet(), 0.38, 1, false)) << "three quarters of a half";
    EXPECT_TRUE(stays_privileged(udp_packet(), 0.62 / 8, 7, false));
    EXPECT_FALSE(stays_privileged(udp_packet(), 0.75 / 8, 7, false));
}

TEST_P(FairShare, ShortPacketsHaveATenthOfASlowRate) {
    const auto packet = [](std::size_t length) {
        return eth / ip4("10.0.0.1", "10.0.0.2") / udp() / payload(length - 42);
    };
    EXPECT_TRUE(stays_privileged(packet(256), 0.09, 300));
    EXPECT_FALSE(stays_privileged(packet(256), 0.14, 300));
    EXPECT_FALSE(stays_privileged(packet(257), 0.09, 300));
    EXPECT_TRUE(stays_privileged(packet(256), 0.31, 2)) << "or two thirds of their share where these are more";
    EXPECT_FALSE(stays_privileged(packet(256), 0.38, 2));
}

TEST_P(FairShare, AShortFlowPassesWhoeverCompetes) {
    // tau is at least 50 ms of a flow that is alone at two thirds, 42 kB
    EXPECT_GE(burst(1), 32'000U);
    EXPECT_LE(burst(1), 43'000U);
    // and at most 4 s, which is more than 32 kB at a share for up to a hundred flows
    for (const std::uint64_t flows : {2U, 8U, 32U, 100U}) {
        EXPECT_GE(burst(flows), 31'000U) << flows;
        EXPECT_LE(burst(flows), 34'000U) << flows;
    }
    EXPECT_NEAR(static_cast<double>(burst(500)), 4 * 1'250'000 / 1.5 / 500, 1000);
}

TEST_P(FairShare, AFlowThatWasHeavyIsPrivilegedAgainWhenItSlowsDown) {
    limiter().introduce(udp_packet());
    compete(8);
    while (passes_at_once(udp_packet(), {.wire_len = 10'000})) compete(8);
    limiter().age(second);
    compete(8);
    EXPECT_TRUE(passes_at_once(udp_packet()));
}

}  // namespace
}  // namespace natra::test
