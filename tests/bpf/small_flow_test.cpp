// SPDX-License-Identifier: Apache-2.0
// Packets of small flows: they pass at once, untouched, as long as the allowance lasts.
#include <cstring>

#include "fixture.hpp"

namespace natra::test {
namespace {

using datapath::Shaper;

class SmallFlow : public LimiterTest {};
NATRA_BOTH_VARIANTS(SmallFlow);

TEST_P(SmallFlow, PassesUntouchedAndIsCountedFast) {
    for (const Shaper shaper : {Shaper::edt, Shaper::police}) {
        limit(shaper);
        queue(100 * second);  // of heavy flows
        const natra_counters before = limiter().counters();
        const Outcome outcome = limiter().run(udp_packet(), {.priority = 7, .tstamp = 123});
        EXPECT_EQ(outcome.verdict, verdict_pass);
        EXPECT_EQ(outcome.priority, 7U);
        EXPECT_EQ(outcome.tstamp, 123U);
        EXPECT_EQ(outcome.data, udp_packet().bytes());
        const natra_counters after = limiter().counters();
        EXPECT_EQ(after.fast_packets - before.fast_packets, 1U);
        EXPECT_EQ(after.fast_bytes - before.fast_bytes, packet_bytes);
        EXPECT_EQ(after.paced_packets + after.dropped_packets + after.spilled_packets + after.marked_packets, 0U);
        state().small_clock_ns = 0;
    }
    EXPECT_EQ(limiter().heavy_flows(), 0U);
}

constexpr std::uint64_t tai = 1'800'000'037 * second;

// SO_TXTIME with CLOCK_TAI or CLOCK_REALTIME: fq would drop these.
TEST_P(SmallFlow, LosesATimeOfAnotherClockToNow) {
    limit(Shaper::edt);
    never_use_up_the_allowance();
    for (const std::uint64_t foreign : {tai, ~std::uint64_t{0}, monotonic_ns() + 12 * second}) {
        const std::uint64_t before = monotonic_ns();
        const Outcome outcome = limiter().run(tcp_ack(), {.tstamp = foreign});
        EXPECT_GE(outcome.tstamp, before);
        EXPECT_LE(outcome.tstamp, monotonic_ns());
    }
    EXPECT_EQ(limiter().counters().fast_packets, 3U);
}

TEST_P(SmallFlow, KeepsATimeThatFqTakes) {
    limit(Shaper::edt);
    never_use_up_the_allowance();
    for (const std::uint64_t own : {std::uint64_t{0}, std::uint64_t{123}, monotonic_ns() + 1500 * ms})
        EXPECT_EQ(limiter().run(tcp_ack(), {.tstamp = own}).tstamp, own);
}

TEST_P(SmallFlow, KeepsATimeOfAnotherClockWhereNoFqIs) {
    for (const Shaper shaper : {Shaper::htb, Shaper::police}) {
        limit(shaper);
        EXPECT_EQ(limiter().run(tcp_ack(), {.tstamp = tai}).tstamp, tai);
    }
}

TEST_P(SmallFlow, GoesToTheSmallClassOfHtb) {
    limit(Shaper::htb);
    const Outcome outcome = limiter().run(udp_packet(), {.priority = 7, .tstamp = 123});
    EXPECT_EQ(outcome.verdict, verdict_pass);
    EXPECT_EQ(outcome.priority, for_class(NATRA_HTB_SMALL_MINOR));
    EXPECT_EQ(outcome.tstamp, 123U);
}

TEST_P(SmallFlow, ChargesBothClocks) {
    limit(Shaper::edt, 8'000);  // 1000 bytes are a second
    make_all_small();
    const std::uint64_t total = queue(50 * second);
    const std::uint64_t small = state().small_clock_ns = total;
    limiter().run(udp_packet());
    EXPECT_EQ(state().total_clock_ns - total, 1 * second);
    EXPECT_NEAR(static_cast<double>(state().small_clock_ns - small), 1e9 / 0.73, 1e3);
}

TEST_P(SmallFlow, IdleClocksStartFromNow) {
    limit(Shaper::edt, 8'000);
    make_all_small();
    const std::uint64_t before = monotonic_ns();
    limiter().run(udp_packet());
    const std::uint64_t after = monotonic_ns();
    // the total clock keeps the burst as credit, the small one keeps none
    EXPECT_GE(state().total_clock_ns, before - 5 * ms + second);
    EXPECT_LE(state().total_clock_ns, after - 5 * ms + second);
    EXPECT_GE(state().small_clock_ns, before + second);
    EXPECT_LE(state().small_clock_ns, after + 2 * second);
}

TEST_P(SmallFlow, CreditNeverReachesBackBeyondBoot) {
    limit(Shaper::edt, 8'000);
    make_all_small();
    config().burst_ns = 1'000'000'000'000'000;  // 11 days
    limiter().run(udp_packet());
    EXPECT_EQ(state().total_clock_ns, 1 * second);
}

TEST_P(SmallFlow, SpillsWhenTheAllowanceIsUsedUp) {
    limit(Shaper::htb, 8'000);
    set_tau(config().guard);
    config().small_allowance_ns = config().small_allowance_min_ns = 10 * second;
    state().small_clock_ns = monotonic_ns() + 5 * second;

    EXPECT_EQ(limiter().run(udp_packet(1)).priority, for_class(NATRA_HTB_SMALL_MINOR));
    state().small_clock_ns = monotonic_ns() + 9 * second;
    const std::uint64_t small = state().small_clock_ns;
    EXPECT_EQ(limiter().run(udp_packet(2)).priority, for_class(NATRA_HTB_HEAVY_MINOR));
    EXPECT_EQ(state().small_clock_ns, small) << "what spilled is not charged to the small clock";

    const natra_counters counters = limiter().counters();
    EXPECT_EQ(counters.fast_packets, 1U);
    EXPECT_EQ(counters.spilled_packets, 1U);
    EXPECT_EQ(counters.spilled_bytes, packet_bytes);
    EXPECT_EQ(counters.paced_packets, 1U);
    EXPECT_EQ(limiter().heavy_flows(), 0U) << "a flow that spilled is not a heavy one";
    EXPECT_EQ(state().activity.bits, 0U);
}

TEST_P(SmallFlow, PacketLongerThanTheAllowanceSpills) {
    limit(Shaper::htb, 8'000);  // 80 ms are 58 bytes
    EXPECT_EQ(limiter().run(udp_packet()).priority, for_class(NATRA_HTB_HEAVY_MINOR));
    EXPECT_EQ(state().small_clock_ns, 0U);
}

TEST_P(SmallFlow, ShortPacketsKeepAReserve) {
    limit(Shaper::htb, 100'000'000);
    config().small_allowance_ns = 1000 * second;
    config().small_allowance_min_ns = 1500 * second;
    state().small_clock_ns = monotonic_ns() + 1200 * second;
    const auto class_of = [&](std::size_t length) {
        const Packet packet = eth / ip4("10.0.0.1", "10.0.0.2") / udp() / payload(length - 42);
        return limiter().run(packet).priority;
    };
    EXPECT_EQ(class_of(256), for_class(NATRA_HTB_SMALL_MINOR));
    EXPECT_EQ(class_of(257), for_class(NATRA_HTB_HEAVY_MINOR));
    state().small_clock_ns = monotonic_ns() + 1600 * second;
    EXPECT_EQ(class_of(256), for_class(NATRA_HTB_HEAVY_MINOR));
}

class Off : public LimiterTest {};
NATRA_BOTH_VARIANTS(Off);

TEST_P(Off, PassesEverythingAndCountsNothing) {
    // a fresh instance is off until its first configuration is written
    const auto before = std::make_unique<natra_state>(state());
    for (const Packet& packet : {udp_packet(), tcp_packet(), tcp_ack(), eth / arp()}) {
        const Outcome outcome = limiter().run(packet, {.priority = 7, .tstamp = 123});
        EXPECT_EQ(outcome.verdict, verdict_pass);
        EXPECT_EQ(outcome.priority, 7U);
        EXPECT_EQ(outcome.tstamp, 123U);
    }
    EXPECT_EQ(std::memcmp(before.get(), &state(), sizeof(natra_state)), 0);
}

TEST_P(Off, LeavesTcpsPacingAloneUnlessTold) {
    const Meta paced_by_tcp{.tstamp = monotonic_ns() + second};
    EXPECT_EQ(limiter().run(udp_packet(), paced_by_tcp).tstamp, paced_by_tcp.tstamp);
    config().flags = NATRA_F_AT_ONCE;
    const std::uint64_t before = monotonic_ns();
    const Outcome outcome = limiter().run(udp_packet(), paced_by_tcp);
    EXPECT_EQ(outcome.verdict, verdict_pass);
    EXPECT_GE(outcome.tstamp, before);
    EXPECT_LE(outcome.tstamp, monotonic_ns());
}

TEST_P(Off, ATimeOfAnotherClockBecomesNow) {
    // a qdisc of EDT's may be there still
    const std::uint64_t before = monotonic_ns();
    const Outcome outcome = limiter().run(udp_packet(), {.tstamp = tai});
    EXPECT_GE(outcome.tstamp, before);
    EXPECT_LE(outcome.tstamp, monotonic_ns());
}

TEST_P(Off, FlippingTheConfigurationTakesEffectAtOnce) {
    limit(Shaper::htb);
    make_all_heavy();
    state().config[1] = {};  // off
    EXPECT_EQ(limiter().run(udp_packet()).priority, for_class(NATRA_HTB_HEAVY_MINOR));
    state().active_config = 1;
    EXPECT_EQ(limiter().run(udp_packet()).priority, 0U);
    state().config[0].mode = NATRA_MODE_POLICE;
    state().active_config = 0;
    state().total_clock_ns = 0;
    EXPECT_EQ(limiter().run(udp_packet()).priority, 0U);
    EXPECT_EQ(limiter().counters().paced_packets, 2U);
}

}  // namespace
}  // namespace natra::test
