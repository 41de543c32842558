// SPDX-License-Identifier: Apache-2.0
// Bytes that a packet is charged for: those on the wire, at both hooks.
#include "fixture.hpp"

namespace natra::test {
namespace {

using datapath::Shaper;

class Length : public LimiterTest {
protected:
    void SetUp() override {
        LimiterTest::SetUp();
        if (IsSkipped()) return;
        limit(Shaper::edt);
        make_all_small();
    }
    std::uint64_t charged(const Packet& packet, const Meta& meta = {}) {
        const natra_counters before = limiter().counters();
        limiter().run(packet, meta);
        const natra_counters after = limiter().counters();
        return after.fast_bytes + after.paced_bytes - before.fast_bytes - before.paced_bytes;
    }
    // What ingress hooks see: the kernel has not added headers to wire_len there.
    std::uint64_t charged_at_ingress(const Packet& packet, std::uint32_t segments) {
        return charged(packet, {.gso_segs = segments, .gso_size = 500});
    }
    const Packet v4 = eth / ip4("10.0.0.1", "10.0.0.2");
    const Packet v6 = eth / ip6("fd00::1", "fd00::2");
};
NATRA_BOTH_VARIANTS(Length);

TEST_P(Length, IsThatOfTheWire) {
    EXPECT_EQ(charged(udp_packet()), 1000U);
    EXPECT_EQ(charged(udp_packet(), {.wire_len = 5000, .gso_segs = 5, .gso_size = 900}), 5000U);
    EXPECT_EQ(charged(eth / arp()), 42U);
}

TEST_P(Length, SegmentsCarryTheirHeadersAtIngressToo) {
    EXPECT_EQ(charged_at_ingress(v4 / tcp() / payload(1500), 3), 54U * 3 + 1500);
    EXPECT_EQ(charged_at_ingress(v4 / tcp({.option_words = 3}) / payload(1500), 3), 66U * 3 + 1500);
    EXPECT_EQ(charged_at_ingress(v6 / tcp() / payload(1500), 3), 74U * 3 + 1500);
    EXPECT_EQ(charged_at_ingress(v4 / udp() / payload(1500), 3), 42U * 3 + 1500);
    EXPECT_EQ(charged_at_ingress(v6 / udp() / payload(1500), 3), 62U * 3 + 1500);
    EXPECT_EQ(charged_at_ingress(eth / vlan(5) / ip4("10.0.0.1", "10.0.0.2") / tcp() / payload(1500), 3),
              58U * 3 + 1500);
    EXPECT_EQ(charged_at_ingress(v6 / extension(Extension::dest_options) / tcp() / payload(1500), 3), 82U * 3 + 1500);
    EXPECT_EQ(charged_at_ingress(udp_packet(), 1), 1000U);
}

TEST_P(Length, WireLengthIsNotCountedTwiceAtIngress) {
    // newer kernels add the headers there too, but still not the first Ethernet header
    const Packet segments = v4 / tcp() / payload(1500);
    EXPECT_EQ(charged(segments, {.wire_len = 1554 + 2 * 40, .gso_segs = 3, .gso_size = 500}), 54U * 3 + 1500);
}

// VXLAN, of which the program reads the outer headers: 42 bytes of 104. The kernel's wire_len has no more before 6.19.
TEST_P(Length, SegmentsOfATunnelCarryTheInnerHeadersToo) {
    const auto tunnel = v4 / udp(50000, 4789);
    constexpr std::uint64_t headers = 42 + 8 + 14 + 20 + 20;
    const Packet full = tunnel / payload(headers - 42 + 3000);
    const Packet short_end = tunnel / payload(headers - 42 + 2501);
    EXPECT_EQ(charged(full, {.gso_segs = 6, .gso_size = 500}), headers * 6 + 3000);
    EXPECT_EQ(charged(full, {.wire_len = headers + 3000 + 5 * 42, .gso_segs = 6, .gso_size = 500}), headers * 6 + 3000);
    // how long the last segment is cannot be known: never more than there is
    const std::uint64_t least = charged(short_end, {.gso_segs = 6, .gso_size = 500});
    EXPECT_EQ(least, headers + 2501 + 5 * 42);
}

// A virtual machine's network card says how long segments are, not how many.
TEST_P(Length, SegmentsThatNobodyCountedAreCounted) {
    EXPECT_EQ(charged_at_ingress(v4 / tcp() / payload(1500), 0), 54U * 3 + 1500);
    EXPECT_EQ(charged_at_ingress(v4 / tcp() / payload(1501), 0), 54U * 4 + 1501);
    EXPECT_EQ(charged_at_ingress(v4 / tcp() / payload(400), 0), 54U + 400);
}

TEST_P(Length, SegmentsWithoutASizeCarryTheOuterHeaders) {
    // SCTP: each as it comes
    EXPECT_EQ(charged(v4 / udp() / payload(1500), {.gso_segs = 3, .gso_size = 0xffff}), 42U * 3 + 1500);
}

TEST_P(Length, IsCutAtAMebibyte) {
    // segments that claim more than any packet can have
    EXPECT_EQ(charged_at_ingress(v4 / tcp({.option_words = 10}) / payload(1500), 65'535), (1U << 20) - 1);
}

class Counting : public LimiterTest {};
NATRA_BOTH_VARIANTS(Counting);

TEST_P(Counting, IsTheSameWithSharedSlots) {
    limit(Shaper::edt);
    config().flags = NATRA_F_SHARED_COUNTERS;
    set_horizon(20 * second);
    never_drop_for_delay();
    mark_above(second);
    limiter().run(udp_packet());
    make_all_heavy();
    queue(10 * second);
    limiter().run(udp_packet(1000, 2));
    queue(30 * second);
    limiter().run(udp_packet());
    set_tau(config().guard);
    limiter().age_cells(20 * second);
    state().small_clock_ns = monotonic_ns() + 100 * second;
    state().total_clock_ns = 0;
    limiter().run(udp_packet());
    const natra_counters counters = limiter().counters();
    EXPECT_EQ(counters.fast_packets, 1U);
    EXPECT_EQ(counters.fast_bytes, packet_bytes);
    EXPECT_EQ(counters.paced_packets, 2U);
    EXPECT_EQ(counters.paced_bytes, 2 * packet_bytes);
    EXPECT_EQ(counters.marked_packets, 1U);
    EXPECT_EQ(counters.marked_bytes, packet_bytes);
    EXPECT_EQ(counters.dropped_packets, 1U);
    EXPECT_EQ(counters.dropped_bytes, packet_bytes);
    EXPECT_EQ(counters.spilled_packets, 1U);
    EXPECT_EQ(counters.spilled_bytes, packet_bytes);
}

}  // namespace
}  // namespace natra::test
