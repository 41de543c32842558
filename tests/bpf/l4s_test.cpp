// SPDX-License-Identifier: Apache-2.0
// ECT(1): marked at a shorter delay, and treated like everything else otherwise.
#include "fixture.hpp"

namespace natra::test {
namespace {

using datapath::Shaper;

constexpr unsigned ect1 = 1;
constexpr unsigned ect0 = 2;
constexpr unsigned ce = 3;

class L4s : public LimiterTest {
protected:
    void SetUp() override {
        LimiterTest::SetUp();
        if (IsSkipped()) return;
        limit(Shaper::edt, 100'000);  // a frame of 1514 bytes takes 121 ms
        make_all_heavy();
        never_drop_for_delay();
    }
    unsigned ecn_after(unsigned ecn, std::uint64_t delay) {
        queue(delay);
        const Outcome outcome = limiter().run(udp_packet(1000, ecn));
        EXPECT_EQ(outcome.verdict, verdict_pass);
        return outcome.data.at(15) & 3U;
    }
};
NATRA_BOTH_VARIANTS(L4s);

TEST_P(L4s, IsMarkedAboveTwoFrames) {
    EXPECT_EQ(ecn_after(ect1, 200 * ms), ect1);
    EXPECT_EQ(ecn_after(ect1, 300 * ms), ce);
    EXPECT_EQ(ecn_after(ect1, 1500 * ms), ce);
}

TEST_P(L4s, OthersAreMarkedAboveFour) {
    EXPECT_EQ(ecn_after(ect0, 200 * ms), ect0);
    EXPECT_EQ(ecn_after(ect0, 450 * ms), ect0);
    EXPECT_EQ(ecn_after(ect0, 600 * ms), ce);
    EXPECT_EQ(ecn_after(0, 600 * ms), 0U);
}

TEST_P(L4s, OfIpv6AsWell) {
    queue(300 * ms);
    const auto outcome = limiter().run(eth / ip6("fd00::1", "fd00::2", {.ecn = ect1}) / udp() / payload(900));
    EXPECT_EQ(outcome.data.at(15) >> 4 & 3U, ce);
}

TEST_P(L4s, UnfairFlowsAreMarkedAboveHalfOfIt) {
    set_fair_bound(second);
    const auto unfair_after = [&](unsigned ecn, std::uint64_t delay) {
        compete(8);
        ahead_of_share(2500 * ms);
        return ecn_after(ecn, delay);
    };
    EXPECT_EQ(unfair_after(ect1, 100 * ms), ect1);
    EXPECT_EQ(unfair_after(ect1, 180 * ms), ce);
    EXPECT_EQ(unfair_after(ect0, 180 * ms), ect0);
    EXPECT_EQ(unfair_after(ect0, 400 * ms), ce);
}

TEST_P(L4s, HasNoOtherPrivilege) {
    config().aqm_target_ns = second;
    config().aqm_interval_ns = 1000 * second;
    for (const unsigned ecn : {0U, ect1, ect0}) {
        SCOPED_TRACE(ecn);
        // it leaves when its turn comes, and pays
        const std::uint64_t start = queue(2 * second);
        EXPECT_EQ(limiter().run(udp_packet(1000, ecn)).tstamp, start + cost(packet_bytes) - config().burst_ns);
        EXPECT_EQ(state().total_clock_ns, start + cost(packet_bytes));
        // it is refused beyond the horizon,
        queue(config().horizon_ns + 2 * second);
        EXPECT_EQ(limiter().run(udp_packet(1000, ecn)).verdict, verdict_drop);
        // and when it is deaf to marks
        limiter().introduce(udp_packet());
        set_fair_bound(second);
        compete(8);
        ahead_of_share(4500 * ms);
        queue(3 * second);
        EXPECT_EQ(limiter().run(udp_packet(1000, ecn)).verdict, verdict_drop);
        ahead_of_share(0);
    }
}

TEST_P(L4s, BecomesHeavyLikeOthers) {
    const auto burst = [&](unsigned ecn) {
        limiter().reset();
        limit(Shaper::htb, 100'000);
        never_use_up_the_allowance();
        int packets = 0;
        while (packets < 100 && passes_at_once(udp_packet(1000, ecn))) ++packets;
        return packets;
    };
    EXPECT_NEAR(burst(ect1), burst(0), 1);
    EXPECT_LE(burst(ect1), 34);
}

}  // namespace
}  // namespace natra::test
