// SPDX-License-Identifier: Apache-2.0
// The bound itself: what leaves in any time is at most what the rate carries in
// it, plus the credits the configuration grants. Senders here are greedy and
// real time passes, but every assertion is about the times at which packets were
// sent, not about how long the test took.
#include <algorithm>
#include <array>
#include <thread>

#include "fixture.hpp"

namespace natra::test {
namespace {

using datapath::Shaper;

struct Sent {
    std::uint64_t time;  // when it leaves
    std::uint64_t bytes;
};

class RateBound : public LimiterTest {
protected:
    // Sends whatever `next` gives for `duration`, and returns what passed. Small packets leave at once.
    template <class Next> std::vector<Sent> flood(std::uint64_t duration, const Next& next) {
        std::vector<Sent> sent;
        const std::uint64_t end = monotonic_ns() + duration;
        std::uint16_t turn = 0;
        for (std::uint64_t now = monotonic_ns(); now < end; now = monotonic_ns()) {
            const Bytes packet = next(turn++);
            const Outcome outcome = limiter().run(packet);
            if (outcome.verdict == verdict_pass) sent.push_back({std::max(now, outcome.tstamp), packet.size()});
        }
        std::sort(sent.begin(), sent.end(), [](const Sent& a, const Sent& b) { return a.time < b.time; });
        return sent;
    }

    // The most that was sent beyond the rate in any time from the first packet on, in ns of the rate.
    double excess_ns(const std::vector<Sent>& sent) {
        double bytes = 0;
        double worst = 0;
        for (const Sent& one : sent) {
            bytes += static_cast<double>(one.bytes);
            const double elapsed = static_cast<double>(one.time - sent.front().time);
            worst = std::max(worst, bytes * static_cast<double>(cost(1'000'000)) / 1e6 - elapsed);
        }
        return worst;
    }
    // Credits that apply from idle: the burst, once more for the packet that starts on it, the allowance of small
    // flows, and what they may send while heavy packets wait that were admitted before them.
    double granted_ns() {
        return 2.0 * static_cast<double>(config().burst_ns) +
               0.73 * static_cast<double>(config().small_allowance_min_ns + config().horizon_ns * 5 / 4) +
               static_cast<double>(cost(packet_bytes));
    }
    static Bytes bulk(std::uint16_t turn) { return udp_packet(static_cast<std::uint16_t>(1 + turn % 4)).bytes(); }
    // Every packet a flow of its own, none of them worth the name.
    static Bytes new_flow(std::uint16_t turn) { return udp_packet(static_cast<std::uint16_t>(1000 + turn)).bytes(); }
    static Bytes mixed(std::uint16_t turn) { return turn % 2 != 0 ? bulk(turn / 2) : new_flow(turn); }
};
NATRA_BOTH_VARIANTS(RateBound);

TEST_P(RateBound, HoldsForBulkFlowsAndFillsTheRate) {
    limit(Shaper::edt, 10'000'000);
    const auto sent = flood(300 * ms, bulk);
    EXPECT_LE(excess_ns(sent), granted_ns());
    // the clock is never behind while somebody wants to send: nothing is given away. A descheduled test does not send.
    bool ahead = state().total_clock_ns >= monotonic_ns();
    for (int i = 0; i < 50 && !ahead; ++i) {
        flood(20 * ms, bulk);
        ahead = state().total_clock_ns >= monotonic_ns();
    }
    EXPECT_TRUE(ahead);
    EXPECT_GT(limiter().counters().dropped_packets, 0U);
}

TEST_P(RateBound, HoldsForAFloodOfNewFlows) {
    limit(Shaper::edt, 10'000'000);
    const auto sent = flood(300 * ms, new_flow);
    EXPECT_LE(excess_ns(sent), granted_ns());
    EXPECT_GT(limiter().counters().spilled_packets, 0U);
}

TEST_P(RateBound, HoldsForBulkFlowsAmidAFloodOfNewOnes) {
    limit(Shaper::edt, 10'000'000);
    EXPECT_LE(excess_ns(flood(300 * ms, mixed)), granted_ns());
}

TEST_P(RateBound, HoldsForTheSmallClassOfHtbAlone) {
    // HTB holds the total; the program keeps small flows, which HTB serves first, at their share
    limit(Shaper::htb, 10'000'000);
    const std::uint64_t start = monotonic_ns();
    flood(300 * ms, mixed);
    const double elapsed = static_cast<double>(monotonic_ns() - start);
    const double fast = static_cast<double>(cost(limiter().counters().fast_bytes));
    EXPECT_LE(fast, 0.73 * (elapsed + static_cast<double>(config().small_allowance_min_ns)));
}

TEST_P(RateBound, HoldsForPolicingBeyondItsBucket) {
    limit(Shaper::police, 10'000'000);
    const std::uint64_t start = monotonic_ns();
    flood(400 * ms, mixed);
    const double elapsed = static_cast<double>(monotonic_ns() - start);
    const natra_counters counters = limiter().counters();
    const double passed = static_cast<double>(cost(counters.fast_bytes + counters.paced_bytes));
    // small flows may take the bucket into debt by their allowance
    EXPECT_LE(passed, elapsed + static_cast<double>(config().burst_ns) +
                          0.73 * static_cast<double>(config().small_allowance_min_ns) +
                          static_cast<double>(cost(packet_bytes)));
    EXPECT_GE(passed, 0.9 * static_cast<double>(config().burst_ns));
}

TEST_P(RateBound, HoldsAtTheSlowestRate) {
    limit(Shaper::edt, 8);  // a byte a second: one packet, and nothing more for a quarter of an hour
    const auto sent = flood(20 * ms, mixed);
    EXPECT_EQ(sent.size(), 1U);
}

TEST_P(RateBound, PacketsOfAFlowKeepTheirOrder) {
    limit(Shaper::edt, 10'000'000);
    std::array<std::uint64_t, 4> last{};
    const std::uint64_t end = monotonic_ns() + 200 * ms;
    for (std::uint16_t turn = 0; monotonic_ns() < end; ++turn) {
        limiter().run(new_flow(turn));
        const std::uint64_t now = monotonic_ns();
        const Outcome outcome = limiter().run(bulk(turn));
        if (outcome.verdict != verdict_pass) continue;
        const std::uint64_t leaves = std::max(now, outcome.tstamp);
        EXPECT_GE(leaves, last[turn % 4]) << "packet " << turn << " overtakes the one before it";
        last[turn % 4] = leaves;
    }
}

class LongRun : public LimiterTest {};
NATRA_BOTH_VARIANTS(LongRun);

// 64 bytes take 20.48 ns at 25 Gbit/s, 1.28 ns at 400: what is beyond whole nanoseconds is charged as well.
TEST_P(LongRun, ChargesFractionsOfANanosecond) {
    constexpr int packets = 200'000;
    constexpr std::uint64_t frame = 64;
    const Bytes datagram = (eth / ip4("10.0.0.1", "10.0.0.2") / udp() / payload(frame - 42)).bytes();
    for (const bool heavy : {false, true}) {
        for (const std::uint64_t gbit : {10, 25, 40, 100, 400, 10'000}) {
            SCOPED_TRACE(std::to_string(gbit) + (heavy ? " Gbit/s, heavy" : " Gbit/s, small"));
            limiter().reset();
            limit(Shaper::edt, gbit * 1'000'000'000);
            make_all_small();
            if (heavy) make_all_heavy();
            set_horizon(10'000 * second);
            never_drop_for_delay();
            const std::uint64_t start = queue(1000 * second);
            state().small_clock_ns = start;
            config().small_allowance_ns = config().small_allowance_min_ns = 10'000 * second;
            limiter().repeat(datagram, packets);
            const double exact = static_cast<double>(packets) * 8 * frame / static_cast<double>(gbit);
            // a standard deviation is at most half of the root of the packets, 224 ns
            EXPECT_NEAR(static_cast<double>(state().total_clock_ns - start), exact, 1200);
            if (heavy) continue;
            EXPECT_NEAR(static_cast<double>(state().small_clock_ns - start), exact / 0.73, 1200);
        }
    }
}

class Contention : public LimiterTest {};
NATRA_BOTH_VARIANTS(Contention);

TEST_P(Contention, NoChargeIsLost) {
    limit(Shaper::edt, 1'000'000'000);
    make_all_small();
    const std::uint64_t start = queue(1000 * second);
    state().small_clock_ns = start;
    config().small_allowance_ns = config().small_allowance_min_ns = 10'000 * second;
    constexpr int packets = 20'000;
    const auto send = [&](std::uint16_t flow) {
        for (int i = 0; i < packets; ++i) limiter().run(udp_packet(static_cast<std::uint16_t>(flow + i % 1000)));
    };
    std::thread other(send, std::uint16_t{1000});
    send(2000);
    other.join();
    const std::uint64_t charged = state().total_clock_ns - start;
    const std::uint64_t exact = 2 * packets * cost(packet_bytes);
    EXPECT_EQ(limiter().counters().fast_packets, 2U * packets);
    EXPECT_EQ(charged, exact);
}

TEST_P(Contention, NoChargeIsLostBackToBack) {
    limit(Shaper::edt, 1'000'000'000);
    make_all_small();
    const std::uint64_t start = queue(1000 * second);
    state().small_clock_ns = start;
    config().small_allowance_ns = config().small_allowance_min_ns = 10'000 * second;
    constexpr int packets = 500'000;
    const Bytes ack = tcp_ack().bytes();
    std::thread other([&] { limiter().repeat(ack, packets); });
    limiter().repeat(ack, packets);
    other.join();
    EXPECT_EQ(limiter().counters().fast_packets, 2U * packets);
    EXPECT_EQ(state().total_clock_ns - start, 2 * packets * cost(ack.size()));
    const std::uint64_t small = ack.size() * config().small_mult >> config().small_shift;
    EXPECT_GE(state().small_clock_ns - start, 2 * packets * small);
    EXPECT_LE(state().small_clock_ns - start, 2 * packets * (small + 1));
}

TEST_P(Contention, NoHeavyChargeIsLostBackToBack) {
    limit(Shaper::edt, 1'000'000'000);
    make_all_heavy();
    set_horizon(10'000 * second);
    never_drop_for_delay();
    config().fair_min = config().fair_max = config().guard;
    const std::uint64_t start = queue(1000 * second);
    constexpr int packets = 500'000;
    std::thread other([&] { limiter().repeat(udp_packet(1).bytes(), packets); });
    limiter().repeat(udp_packet(2).bytes(), packets);
    other.join();
    EXPECT_EQ(state().total_clock_ns - start, 2 * packets * cost(packet_bytes));
}

TEST_P(Contention, CreditIsTheBurstHoweverLongTheClockWasIdle) {
    limit(Shaper::edt, 1'000'000'000);
    make_all_small();
    // two that find the clock idle at once must not both add what it is behind
    for (int round = 0; round < 20; ++round) {
        state().total_clock_ns = state().small_clock_ns = 1;
        std::thread other([&] { limiter().repeat(udp_packet(1).bytes(), 50); });
        limiter().repeat(udp_packet(2).bytes(), 50);
        other.join();
        EXPECT_LE(state().total_clock_ns, monotonic_ns() + 100 * cost(packet_bytes));
        EXPECT_LE(state().small_clock_ns, monotonic_ns() + 200 * cost(packet_bytes));
    }
}

}  // namespace
}  // namespace natra::test
