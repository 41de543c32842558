// SPDX-License-Identifier: Apache-2.0
// Limits for some remote addresses only: who is charged.
#include "daemon/pods/subnets.hpp"

#include "fixture.hpp"

namespace natra::test {
namespace {

using datapath::Direction;
using datapath::Shaper;

const Layer far4 = ip4("10.1.2.3", "10.9.9.9");
const Layer near4 = ip4("10.9.9.9", "10.1.2.3");
const Layer far6 = ip6("fd00:1::3", "fd00:9::9");

class SubnetsTest : public LimiterTest {
protected:
    void rules(const std::vector<std::string>& shaped, const std::vector<std::string>& unshaped,
               Direction direction = Direction::ingress) {
        const auto parsed = limits::parse_subnet_rules(shaped, unshaped);
        ASSERT_TRUE(parsed);
        limit(Shaper::edt, 1'000'000, direction);
        state().subnets = pods::to_table(*parsed);
    }
    // Whether the limiter counted the packet.
    bool charged(const Packet& packet) {
        const auto seen = [&] {
            const auto c = limiter().counters();
            return c.fast_packets + c.paced_packets + c.dropped_packets;
        };
        const auto before = seen();
        const auto clock = state().total_clock_ns;
        EXPECT_EQ(limiter().run(packet).verdict, verdict_pass);
        EXPECT_EQ(state().total_clock_ns != clock, seen() != before) << "counted and charged are the same";
        return seen() != before;
    }
};

TEST_P(SubnetsTest, WithoutListsEverythingIs) {
    rules({}, {});
    EXPECT_TRUE(charged(eth / far4 / udp()));
    EXPECT_TRUE(charged(eth / far6 / udp()));
    EXPECT_TRUE(charged(eth / arp()));
}

TEST_P(SubnetsTest, ShapedOnesAloneAre) {
    rules({"10.1.0.0/16", "fd00:1::/32"}, {});
    EXPECT_TRUE(charged(eth / far4 / udp()));
    EXPECT_TRUE(charged(eth / far4 / tcp() / payload(100)));
    EXPECT_TRUE(charged(eth / far4 / icmp()));
    EXPECT_TRUE(charged(eth / vlan(5) / far4 / udp()));
    EXPECT_TRUE(charged(eth / far6 / udp()));
    EXPECT_TRUE(charged(eth / far6 / extension(Extension::hop_by_hop) / tcp()));
    EXPECT_FALSE(charged(eth / ip4("10.2.2.3", "10.1.9.9") / udp())) << "the other end is no remote one";
    EXPECT_FALSE(charged(eth / ip6("fd00:2::3", "fd00:1::9") / udp()));
    EXPECT_FALSE(charged(eth / arp())) << "has no address";
}

TEST_P(SubnetsTest, UnshapedOnesAloneAreNot) {
    rules({}, {"10.1.0.0/16", "fd00:1::/32"});
    EXPECT_FALSE(charged(eth / far4 / udp()));
    EXPECT_FALSE(charged(eth / far6 / tcp() / payload(100)));
    EXPECT_TRUE(charged(eth / ip4("10.2.2.3", "10.1.9.9") / udp()));
    EXPECT_TRUE(charged(eth / ip6("fd00:2::3", "fd00:1::9") / udp()));
    EXPECT_TRUE(charged(eth / arp()));
}

TEST_P(SubnetsTest, OnTheWayOutTheDestinationIsRemote) {
    rules({"10.1.0.0/16"}, {}, Direction::egress);
    EXPECT_TRUE(charged(eth / near4 / udp()));
    EXPECT_FALSE(charged(eth / far4 / udp()));
}

// Each length of a prefix, on both sides of its border.
TEST_P(SubnetsTest, PrefixesEndWhereTheySay) {
    for (unsigned length = 1; length <= 32; ++length) {
        rules({"85.85.85.85/" + std::to_string(length)}, {});
        const std::uint32_t inside = 0x55555555;
        const std::uint32_t outside = inside ^ (1U << (32 - length));
        const auto text = [](std::uint32_t a) {
            return std::to_string(a >> 24) + "." + std::to_string(a >> 16 & 255) + "." + std::to_string(a >> 8 & 255) +
                   "." + std::to_string(a & 255);
        };
        EXPECT_TRUE(charged(eth / ip4(text(inside), "10.9.9.9") / udp())) << length;
        EXPECT_FALSE(charged(eth / ip4(text(outside), "10.9.9.9") / udp())) << length;
    }
    for (const auto& [prefix, inside, outside] :
         {std::tuple{"fd00::/8", "fdff::1", "fc00::1"}, std::tuple{"fd00::/64", "fd00::1", "fd00:0:0:1::1"},
          std::tuple{"fd00::/65", "fd00::1", "fd00::8000:0:0:1"}, std::tuple{"fd00::1/128", "fd00::1", "fd00::2"}}) {
        rules({prefix}, {});
        EXPECT_TRUE(charged(eth / ip6(inside, "fd00:9::9") / udp())) << prefix;
        EXPECT_FALSE(charged(eth / ip6(outside, "fd00:9::9") / udp())) << prefix;
    }
}

TEST_P(SubnetsTest, DefaultRoutesAreOfTheirFamily) {
    rules({"0.0.0.0/0"}, {});
    EXPECT_TRUE(charged(eth / far4 / udp()));
    EXPECT_FALSE(charged(eth / far6 / udp()));
    rules({"::/0"}, {});
    EXPECT_FALSE(charged(eth / far4 / udp()));
    EXPECT_TRUE(charged(eth / far6 / udp()));
}

TEST_P(SubnetsTest, TheLastOfSixteenCounts) {
    std::vector<std::string> list(15, "192.0.2.0/24");
    list.emplace_back("10.1.0.0/16");
    rules(list, {});
    EXPECT_TRUE(charged(eth / far4 / udp()));
    EXPECT_FALSE(charged(eth / near4 / udp()));
}

TEST_P(SubnetsTest, InHtbTheRestGoesPastTheClasses) {
    rules({}, {"10.1.0.0/16"});
    config().mode = NATRA_MODE_HTB;
    EXPECT_EQ(limiter().run(eth / far4 / udp(), {.priority = 7}).priority, for_class(NATRA_HTB_DIRECT_MINOR));
    EXPECT_EQ(limiter().run(eth / near4 / udp()).priority, for_class(NATRA_HTB_SMALL_MINOR));
    config().mode = NATRA_MODE_EDT;
    EXPECT_EQ(limiter().run(eth / far4 / udp(), {.priority = 7}).priority, 7U);
}

TEST_P(SubnetsTest, AFullLimiterDoesNotHoldTheRestBack) {
    rules({}, {"10.1.0.0/16"});
    queue(100 * second);
    make_all_heavy();
    EXPECT_EQ(limiter().run(eth / near4 / udp() / payload(1000)).verdict, verdict_drop);
    const auto outcome = limiter().run(eth / far4 / udp() / payload(1000));
    EXPECT_EQ(outcome.verdict, verdict_pass);
    EXPECT_EQ(outcome.tstamp, 0U);
}

TEST_P(SubnetsTest, TheRestKeepsNoTimeOfAnotherClock) {
    rules({}, {"10.1.0.0/16"});
    config().mode = NATRA_MODE_EDT;
    constexpr std::uint64_t tai = 1'800'000'037 * second;
    const std::uint64_t leaves = limiter().run(eth / far4 / udp(), {.tstamp = tai}).tstamp;
    EXPECT_LE(leaves, monotonic_ns());
    EXPECT_EQ(limiter().run(eth / far4 / udp(), {.tstamp = 123}).tstamp, 123U);
}

NATRA_BOTH_VARIANTS(SubnetsTest);

}  // namespace
}  // namespace natra::test
