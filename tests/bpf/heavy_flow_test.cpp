// SPDX-License-Identifier: Apache-2.0
// Packets of heavy flows: when they leave, in every mode, and when they do not.
#include "fixture.hpp"

namespace natra::test {
namespace {

using datapath::Direction;
using datapath::Shaper;

std::uint8_t ecn4(const Bytes& packet) { return packet.at(15) & 3; }
std::uint8_t ecn6(const Bytes& packet) { return packet.at(15) >> 4 & 3; }

bool ip4_checksum_holds(const Bytes& packet) {
    std::uint32_t sum = 0;
    for (std::size_t i = 14; i < 34; i += 2) {
        sum += static_cast<std::uint32_t>(packet.at(i) << 8 | packet.at(i + 1));
    }
    return (sum & 0xffff) + (sum >> 16) == 0xffff;
}

class HeavyFlow : public LimiterTest {};
NATRA_BOTH_VARIANTS(HeavyFlow);

TEST_P(HeavyFlow, LeavesWhenTheTotalClockHasComeToIt) {
    limit(Shaper::edt, 8'000'000);  // 1000 bytes are 1 ms: within the burst
    make_all_heavy();
    set_horizon(100 * second);
    never_drop_for_delay();
    const std::uint64_t start = queue(50 * second);
    const Outcome first = limiter().run(udp_packet(), {.priority = 7});
    EXPECT_EQ(first.verdict, verdict_pass);
    EXPECT_EQ(first.priority, 7U);
    // beyond what fq takes it is brought forward
    EXPECT_LT(first.tstamp, monotonic_ns() + NATRA_EDT_MAX_NS);
    EXPECT_EQ(state().total_clock_ns, start + ms);

    const std::uint64_t next = queue(5 * second);
    EXPECT_EQ(limiter().run(udp_packet()).tstamp, next);
    EXPECT_EQ(limiter().run(udp_packet()).tstamp, next + ms);
    EXPECT_EQ(limiter().counters().paced_packets, 3U);
    EXPECT_EQ(limiter().counters().paced_bytes, 3 * packet_bytes);
    EXPECT_EQ(limiter().counters().fast_packets, 0U);
}

TEST_P(HeavyFlow, LongSegmentsLeaveWhenALinkWouldHaveCarriedThem) {
    limit(Shaper::edt);
    make_all_heavy();
    set_horizon(100 * second);
    never_drop_for_delay();
    const std::uint64_t start = queue(second);
    // 60 kB are 480 ms, of which the burst is saved
    EXPECT_EQ(limiter().run(udp_packet(), {.wire_len = 60'000}).tstamp, start + 480 * ms - 5 * ms);
    // and what follows does not overtake it
    EXPECT_EQ(limiter().run(udp_packet()).tstamp, start + 480 * ms + 8 * ms - 5 * ms);
}

TEST_P(HeavyFlow, LeavesAtOnceFromIdle) {
    limit(Shaper::edt, 8'000'000);
    make_all_heavy();
    const std::uint64_t before = monotonic_ns();
    const Outcome outcome = limiter().run(udp_packet());
    EXPECT_GE(outcome.tstamp, before);
    EXPECT_LE(outcome.tstamp, monotonic_ns());
}

TEST_P(HeavyFlow, KeepsALaterTimestampOfItsOwn) {
    limit(Shaper::edt);
    make_all_heavy();
    set_horizon(100 * second);
    never_drop_for_delay();
    const std::uint64_t own = monotonic_ns() + 1500 * ms;
    EXPECT_EQ(limiter().run(udp_packet(), {.tstamp = own}).tstamp, own);
    queue(6 * second);
    EXPECT_GT(limiter().run(udp_packet(), {.tstamp = own}).tstamp, own);
}

TEST_P(HeavyFlow, IgnoresTimestampsOfAnotherClock) {
    limit(Shaper::edt);
    make_all_heavy();
    constexpr std::uint64_t wall_clock = 1'800'000'000 * second;
    EXPECT_LT(limiter().run(udp_packet(), {.tstamp = wall_clock}).tstamp, monotonic_ns() + second);
}

TEST_P(HeavyFlow, GoesToTheHeavyClassOfHtb) {
    limit(Shaper::htb);
    make_all_heavy();
    queue(20 * ms);
    const Outcome outcome = limiter().run(udp_packet(), {.priority = 7, .tstamp = 123});
    EXPECT_EQ(outcome.verdict, verdict_pass);
    EXPECT_EQ(outcome.priority, for_class(NATRA_HTB_HEAVY_MINOR));
    EXPECT_EQ(outcome.tstamp, 123U);
}

TEST_P(HeavyFlow, IsDroppedBeyondTheHorizonAndChargedNowhere) {
    for (const Shaper shaper : {Shaper::edt, Shaper::htb, Shaper::police}) {
        limit(shaper);
        make_all_heavy();
        const natra_counters before = limiter().counters();
        const std::uint64_t total = queue(100 * second);
        const Outcome outcome = limiter().run(udp_packet(1000, 1), {.priority = 7, .tstamp = 123});
        EXPECT_EQ(outcome.verdict, verdict_drop);
        EXPECT_EQ(outcome.data, udp_packet(1000, 1).bytes()) << "not marked either";
        EXPECT_EQ(state().total_clock_ns, total);
        EXPECT_EQ(state().small_clock_ns, 0U);
        for (const auto& row : state().fair)
            for (const std::uint32_t cell : row) EXPECT_EQ(cell, limiter().unused_cell());
        const natra_counters after = limiter().counters();
        EXPECT_EQ(after.dropped_packets - before.dropped_packets, 1U);
        EXPECT_EQ(after.dropped_bytes - before.dropped_bytes, packet_bytes);
        EXPECT_EQ(after.paced_packets, 0U);
        EXPECT_EQ(after.marked_packets, 0U);
    }
}

TEST_P(HeavyFlow, OneSegmentPassesAtAnyRate) {
    for (const std::uint64_t rate : {8U, 8'000U, 1'000'000U}) {
        for (const Shaper shaper : {Shaper::edt, Shaper::htb, Shaper::police}) {
            limit(shaper, rate);
            state().total_clock_ns = 0;
            EXPECT_EQ(limiter().run(tcp_packet(), {.wire_len = 65'536}).verdict, verdict_pass) << rate << " bit/s";
            EXPECT_GE(state().total_clock_ns, monotonic_ns() - second + cost(65'536));
            // and the next one not before its time
            state().total_clock_ns = monotonic_ns() + config().horizon_ns + 100 * second;
            EXPECT_EQ(limiter().run(tcp_packet()).verdict, verdict_drop) << rate << " bit/s";
        }
    }
}

TEST_P(HeavyFlow, PolicedPacketsPassWhileTheBucketLasts) {
    limit(Shaper::police);
    make_all_heavy();
    config().burst_ns = 1 * second;
    set_horizon(100 * second);  // which does not apply
    const auto verdict = [&](std::uint64_t credit) {
        state().total_clock_ns = monotonic_ns() - credit;
        return limiter().run(udp_packet(), {.priority = 7, .tstamp = 123});
    };
    for (const std::uint64_t credit : {2 * second, 1 * second, 500 * ms}) {
        const Outcome outcome = verdict(credit);
        EXPECT_EQ(outcome.verdict, verdict_pass);
        EXPECT_EQ(outcome.tstamp, 123U);
        EXPECT_EQ(outcome.priority, 7U);
    }
    queue(10 * second);
    EXPECT_EQ(limiter().run(udp_packet()).verdict, verdict_drop);
}

class Marks : public AllHeavyTest {
protected:
    void SetUp() override {
        AllHeavyTest::SetUp();
        if (IsSkipped()) return;
        set_horizon(9 * second);
        mark_above(2 * second);
        queue(5 * second);
    }
};
NATRA_BOTH_VARIANTS(Marks);

TEST_P(Marks, EcnCapablePacketsAboveTheThreshold) {
    for (const unsigned ect : {1U, 2U}) {
        const Outcome outcome = limiter().run(udp_packet(1000, ect));
        EXPECT_EQ(outcome.verdict, verdict_pass);
        EXPECT_EQ(ecn4(outcome.data), 3);
        EXPECT_TRUE(ip4_checksum_holds(outcome.data));
        const Outcome outcome6 = limiter().run(eth / ip6("fd00::1", "fd00::2", {.ecn = ect}) / tcp() / payload(100));
        EXPECT_EQ(ecn6(outcome6.data), 3);
    }
    EXPECT_EQ(limiter().counters().marked_packets, 4U);
    EXPECT_EQ(limiter().counters().paced_packets, 4U) << "marked ones are paced too";
    EXPECT_EQ(limiter().counters().marked_bytes, 2 * packet_bytes + 2 * 174);
}

TEST_P(Marks, ThroughOptionsAndExtensionHeaders) {
    const Outcome options = limiter().run(eth / ip4("10.0.0.1", "10.0.0.2", {.ecn = 2, .option_words = 3}) / udp());
    EXPECT_EQ(ecn4(options.data), 3);
    const Outcome extensions =
        limiter().run(eth / ip6("fd00::1", "fd00::2", {.ecn = 2}) / extension(Extension::hop_by_hop) / udp());
    EXPECT_EQ(ecn6(extensions.data), 3);
}

TEST_P(Marks, HtbToo) {
    config().mode = NATRA_MODE_HTB;
    EXPECT_EQ(ecn4(limiter().run(udp_packet(1000, 2)).data), 3);
}

TEST_P(Marks, NothingThatIsNotEcnCapable) {
    for (const Packet& packet : {udp_packet(), eth / ip6("fd00::1", "fd00::2") / tcp() / payload(100), eth / arp()}) {
        const Outcome outcome = limiter().run(packet);
        EXPECT_EQ(outcome.verdict, verdict_pass);
        EXPECT_EQ(outcome.data, packet.bytes());
    }
    EXPECT_EQ(limiter().counters().marked_packets, 0U);
}

TEST_P(Marks, NothingBelowTheThreshold) {
    queue(1 * second);
    EXPECT_EQ(ecn4(limiter().run(udp_packet(1000, 2)).data), 2);
    EXPECT_EQ(limiter().counters().marked_packets, 0U);
}

TEST_P(Marks, NothingTwice) {
    EXPECT_EQ(ecn4(limiter().run(udp_packet(1000, 3)).data), 3);
    EXPECT_EQ(limiter().counters().marked_packets, 0U);
}

TEST_P(Marks, NothingInPolicing) {
    config().mode = NATRA_MODE_POLICE;
    config().burst_ns = 4 * second;
    state().total_clock_ns = monotonic_ns() - second;
    const Outcome outcome = limiter().run(udp_packet(1000, 2));
    EXPECT_EQ(outcome.verdict, verdict_pass);
    EXPECT_EQ(ecn4(outcome.data), 2);
}

TEST_P(Marks, NothingBehindAVlanTagInTheData) {
    // The kernel's helper would write where the IP header is without the tag: into this tag, whose bits look
    // ECN-capable there.
    const Packet tagged = eth / vlan(0x25) / ip4("10.0.0.1", "10.0.0.2", {.ecn = 2}) / udp() / payload(100);
    const Packet tagged6 = eth / vlan(0x25) / ip6("fd00::1", "fd00::2", {.ecn = 2}) / udp() / payload(100);
    EXPECT_EQ(limiter().run(tagged).data, tagged.bytes());
    EXPECT_EQ(limiter().run(tagged6).data, tagged6.bytes());
    EXPECT_EQ(limiter().counters().marked_packets, 0U);
}

TEST_P(Marks, SpilledPacketsToo) {
    set_tau(config().guard);
    state().small_clock_ns = monotonic_ns() + 100 * second;
    EXPECT_EQ(ecn4(limiter().run(udp_packet(1000, 2)).data), 3);
}

}  // namespace
}  // namespace natra::test
