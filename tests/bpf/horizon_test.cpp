// SPDX-License-Identifier: Apache-2.0
// The longest that a packet waits: one horizon for all protocols, with room beyond it for flows that are not bulk.
#include "fixture.hpp"

namespace natra::test {
namespace {

using datapath::Direction;
using datapath::Shaper;

class Horizon : public LimiterTest {
protected:
    void SetUp() override {
        LimiterTest::SetUp();
        if (IsSkipped()) return;
        limit(Shaper::edt, 100'000, Direction::egress);  // 9 s
        make_all_heavy();
        never_drop_for_delay();
    }
    int verdict(const Packet& packet, std::uint64_t ahead) {
        queue(ahead);
        return limiter().run(packet).verdict;
    }
};
NATRA_BOTH_VARIANTS(Horizon);

TEST_P(Horizon, IsTheSameForAllProtocols) {
    const Packet packets[] = {
        tcp_packet(),
        udp_packet(),
        tcp_ack(),
        eth / ip6("fd00::1", "fd00::2") / tcp() / payload(100),
        eth / ip6("fd00::1", "fd00::2") / udp() / payload(100),
        eth / ip4("10.0.0.1", "10.0.0.2", {.fragment_offset = 1, .protocol = 6}) / payload(100),
        eth / ip4("10.0.0.1", "10.0.0.2") / icmp(),
        eth / ip4("10.0.0.1", "10.0.0.2") / sctp() / payload(100),
        eth / ip4("10.0.0.1", "10.0.0.2") / other_protocol(50) / payload(100),
        eth / arp(),
    };
    ASSERT_EQ(config().horizon_ns, 2 * second);
    for (const Shaper shaper : {Shaper::edt, Shaper::htb}) {
        config().mode = shaper == Shaper::edt ? NATRA_MODE_EDT : NATRA_MODE_HTB;
        for (const Packet& packet : packets) {
            SCOPED_TRACE(&packet - packets);
            EXPECT_EQ(verdict(packet, 1800 * ms), verdict_pass);
            EXPECT_EQ(verdict(packet, 2400 * ms), verdict_drop);
        }
    }
}

TEST_P(Horizon, IsAQuarterLongerForFlowsThatAreNotBulk) {
    set_tau(config().guard);
    for (const Packet& packet : {tcp_packet(), udp_packet(), eth / ip6("fd00::1", "fd00::2") / udp()}) {
        state().small_clock_ns = monotonic_ns() + 1000 * second;
        EXPECT_EQ(verdict(packet, 2400 * ms), verdict_pass);
        EXPECT_EQ(verdict(packet, 2800 * ms), verdict_drop);
    }
    EXPECT_EQ(limiter().counters().spilled_packets, 6U);
}

class Tunnel : public LimiterTest {};
NATRA_BOTH_VARIANTS(Tunnel);

// What is inside is many flows, which the program does not look at.
TEST_P(Tunnel, IsOneFlow) {
    const Layer outer4 = ip4("10.0.0.1", "10.0.0.2");
    const Layer outer6 = ip6("fd00::1", "fd00::2");
    const std::vector<Packet> tunnels = {
        eth / outer4 / udp(51820, 51820),  // WireGuard
        eth / outer4 / udp(40000, 4789),   // VXLAN, of one pair of ports
        eth / outer6 / udp(51820, 51820),
        eth / outer4 / other_protocol(50),  // ESP
        eth / outer4 / other_protocol(47),  // GRE
        eth / outer4,                       // IPv4 in IPv4
    };
    for (std::size_t i = 0; i < tunnels.size(); ++i) {
        SCOPED_TRACE(i);
        limiter().reset();
        limit(Shaper::htb, 100'000);
        never_use_up_the_allowance();
        never_drop_for_delay();
        set_horizon(1000 * second);
        const auto packet = [&](int inner) {
            return tunnels[i] / ip4("172.16.0." + std::to_string(1 + inner % 200), "172.16.1.1") /
                   tcp({.sport = static_cast<std::uint16_t>(1000 + inner)}) / payload(900);
        };
        // a flow's threshold,
        std::uint64_t bytes = 0;
        int inner = 0;
        while (bytes < 100'000 && passes_at_once(packet(inner))) bytes += packet(inner++).bytes().size();
        EXPECT_GE(bytes, 31'000U);
        EXPECT_LE(bytes, 34'000U);
        // a flow's place in the count and in the table, and a flow's share
        for (int more = 0; more < 20; ++more) EXPECT_FALSE(passes_at_once(packet(inner++)));
        EXPECT_EQ(state().activity.bits, 1U);
        EXPECT_EQ(limiter().heavy_flows(), 1U);
        std::size_t charged = 0;
        for (const auto& row : state().fair)
            charged += std::size(row) - std::count(std::begin(row), std::end(row), limiter().unused_cell());
        // its first packet was a stranger's
        EXPECT_EQ(charged, 2 * std::size_t{NATRA_FAIR_ROWS});
    }
}

}  // namespace
}  // namespace natra::test
