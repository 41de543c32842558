// SPDX-License-Identifier: Apache-2.0
// Packets of a flow keep their order: while one of them waits, the next ones follow it.
#include "fixture.hpp"

namespace natra::test {
namespace {

using datapath::Shaper;

class Order : public LimiterTest {
protected:
    void begin(Shaper shaper, std::uint64_t rate_bps = 1'000'000) {
        limiter().reset();
        limit(shaper, rate_bps);
        never_use_up_the_allowance();
        never_drop_for_delay();
        set_horizon(1000 * second);
        for (const std::uint16_t flow : {std::uint16_t{1}, std::uint16_t{2}}) limiter().introduce(udp_packet(flow));
    }
    // A packet of the flow finds no allowance left, and waits that long.
    void let_wait(const Packet& packet, std::uint64_t wait) {
        state().small_clock_ns = monotonic_ns() + 2000 * second;
        if (config().mode != NATRA_MODE_POLICE) queue(wait);
        EXPECT_FALSE(passes_at_once(packet));
        EXPECT_EQ(limiter().counters().spilled_packets, 1U);
        state().small_clock_ns = 0;
    }
    static Packet short_packet(std::uint16_t sport) {
        return eth / ip4("10.0.0.1", "10.0.0.2") / udp(sport) / payload(64);
    }
};
NATRA_BOTH_VARIANTS(Order);

TEST_P(Order, AFlowFollowsItsPacketThatWaits) {
    for (const Shaper shaper : {Shaper::edt, Shaper::htb}) {
        SCOPED_TRACE(shaper == Shaper::edt ? "edt" : "htb");
        begin(shaper);
        let_wait(udp_packet(1), 5 * second);
        EXPECT_FALSE(passes_at_once(udp_packet(1)));
        EXPECT_FALSE(passes_at_once(short_packet(1))) << "however short the next one is";
        EXPECT_TRUE(passes_at_once(udp_packet(2))) << "another flow passes at once";
        EXPECT_TRUE(passes_at_once(udp_packet(3))) << "a new one as well";
    }
}

TEST_P(Order, AFlowPassesAtOnceAgainWhenItsPacketHasLeft) {
    for (const Shaper shaper : {Shaper::edt, Shaper::htb}) {
        SCOPED_TRACE(shaper == Shaper::edt ? "edt" : "htb");
        begin(shaper);
        let_wait(short_packet(1), 3 * second);
        limiter().age(2900 * ms);
        // this one waits as long as the first would have, but for its own bytes
        EXPECT_FALSE(passes_at_once(short_packet(1)));
        limiter().age(103 * ms);
        EXPECT_TRUE(passes_at_once(short_packet(1))) << "a delay must not keep an exchange heavy";
    }
}

TEST_P(Order, FollowersLeaveBehindWhatTheyFollow) {
    begin(Shaper::edt);
    state().small_clock_ns = monotonic_ns() + 2000 * second;
    queue(5 * second);
    const std::uint64_t first = limiter().run(udp_packet(1)).tstamp;
    state().small_clock_ns = 0;
    EXPECT_GE(limiter().run(udp_packet(1)).tstamp, first);
}

TEST_P(Order, HtbHoldsPacketsBackForAsLongAsOthersOvertakeThem) {
    begin(Shaper::htb);
    let_wait(udp_packet(1), 2 * second);
    for (int i = 0; i < 125; ++i) {  // a second of packets of 8 ms each
        EXPECT_TRUE(passes_at_once(udp_packet(2), {.wire_len = 1000}));
        for (auto& row : state().cell) std::fill(std::begin(row), std::end(row), limiter().unused_cell());
    }
    limiter().age(2500 * ms);
    const natra_state before = state();
    EXPECT_FALSE(passes_at_once(udp_packet(1))) << "there are 500 ms to go";
    state() = before;
    limiter().age(600 * ms);
    EXPECT_TRUE(passes_at_once(udp_packet(1)));
}

TEST_P(Order, EdtHoldsPacketsBackUntilTheirTimeOnly) {
    begin(Shaper::edt);
    let_wait(udp_packet(1), 2 * second);
    for (int i = 0; i < 30; ++i) limiter().run(udp_packet(2));
    EXPECT_EQ(state().overtaken_ns, 0U);
    limiter().age(2010 * ms);
    EXPECT_TRUE(passes_at_once(udp_packet(1)));
}

TEST_P(Order, WithoutAQueueNothingIsOvertaken) {
    begin(Shaper::htb, 8'000'000);                     // 1000 bytes are 1 ms
    const auto overtaken = [&](std::uint64_t ahead) {  // modulo 2^64: behind
        state().overtaken_ns = 0;
        queue(ahead);
        EXPECT_TRUE(passes_at_once(udp_packet(1)));
        return state().overtaken_ns;
    };
    EXPECT_EQ(overtaken(100 * ms), ms);
    EXPECT_EQ(overtaken(3 * ms), ms);
    config().burst_ns = 10 * second;
    EXPECT_EQ(overtaken(-2 * second), 0U) << "credit is left: nothing waits";
}

TEST_P(Order, PolicedPacketsDoNotWait) {
    begin(Shaper::police);
    config().burst_ns = 10 * ms;
    state().total_clock_ns = 0;
    // longer than the bucket: a link would carry it for 160 ms, a policer lets it pass at once
    state().small_clock_ns = monotonic_ns() + 2000 * second;
    EXPECT_EQ(limiter().run(udp_packet(1), {.wire_len = 20'000}).verdict, verdict_pass);
    EXPECT_EQ(limiter().counters().spilled_packets, 1U);
    state().small_clock_ns = 0;
    EXPECT_TRUE(passes_at_once(udp_packet(1)));
}

TEST_P(Order, DroppedPacketsDoNotWait) {
    begin(Shaper::edt);
    set_horizon(second);
    state().small_clock_ns = monotonic_ns() + 2000 * second;
    queue(5 * second);
    EXPECT_EQ(limiter().run(udp_packet(1)).verdict, verdict_drop);
    state().small_clock_ns = 0;
    EXPECT_TRUE(passes_at_once(udp_packet(1)));
}

TEST_P(Order, HoldsForALongSegmentAtASlowRate) {
    // 30 kB take 30 s at 8 kbit/s; with EDT they leave after 9.5 s
    begin(Shaper::edt, 8'000);
    set_tau(config().guard);
    state().small_clock_ns = monotonic_ns() + 2000 * second;
    state().total_clock_ns = 0;
    EXPECT_FALSE(passes_at_once(udp_packet(1), {.wire_len = 30'000}));
    state().small_clock_ns = 0;
    for (int i = 0; i < 3; ++i) {
        EXPECT_FALSE(passes_at_once(short_packet(1))) << i;
        limiter().age(3 * second);
        if (i < 2) limiter().introduce(udp_packet(2));
    }
}

// They share an entry, and so the wait of the last one.
TEST_P(Order, StrangersWithoutRoomFollowEachOther) {
    begin(Shaper::edt);
    const auto tick = static_cast<std::uint32_t>(monotonic_ns() >> 26) & 0x7fff;
    for (auto& entry : state().met) entry.tag = tick << 1 | 1;
    let_wait(udp_packet(10), 5 * second);
    EXPECT_FALSE(passes_at_once(udp_packet(10)));
    EXPECT_FALSE(passes_at_once(udp_packet(11)));
    limiter().age(5100 * ms);
    EXPECT_TRUE(passes_at_once(udp_packet(10)));
}

}  // namespace
}  // namespace natra::test
