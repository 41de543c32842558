// SPDX-License-Identifier: Apache-2.0
// The verdict for refused packets: lost on the way, where the configuration says so and nowhere else.
#include "fixture.hpp"

namespace natra::test {
namespace {

using datapath::Direction;
using datapath::Shaper;

class Refusal : public LimiterTest {
protected:
    int verdict(const Packet& packet) {
        queue(100 * second);
        return limiter().run(packet).verdict;
    }
};
NATRA_BOTH_VARIANTS(Refusal);

TEST_P(Refusal, LosesThePacketWhereNobodyIsToBeTold) {
    for (const Shaper shaper : {Shaper::edt, Shaper::police}) {
        limiter().configure({.rate_bps = 1'000'000, .shaper = shaper, .direction = Direction::egress, .lose = true});
        make_all_heavy();
        for (const Packet& packet : {tcp_packet(), udp_packet(), eth / ip6("fd00::1", "fd00::2") / udp(), eth / arp()})
            EXPECT_EQ(verdict(packet), verdict_lose);
    }
    EXPECT_EQ(limiter().counters().dropped_packets, 8U);
}

TEST_P(Refusal, DropsItOtherwise) {
    for (const Shaper shaper : {Shaper::edt, Shaper::htb, Shaper::police}) {
        limit(shaper, 1'000'000, Direction::egress);
        make_all_heavy();
        EXPECT_EQ(verdict(udp_packet()), verdict_drop);
    }
}

TEST_P(Refusal, WhatPassesPassesEitherWay) {
    limiter().configure({.rate_bps = 1'000'000, .shaper = Shaper::edt, .lose = true});
    EXPECT_EQ(limiter().run(udp_packet()).verdict, verdict_pass);
    make_all_heavy();
    EXPECT_EQ(limiter().run(udp_packet()).verdict, verdict_pass);
}

}  // namespace
}  // namespace natra::test
