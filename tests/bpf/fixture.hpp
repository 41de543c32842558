// SPDX-License-Identifier: Apache-2.0
// Tests that run packets through both objects, natra and natra_legacy.
//
// Nothing here waits for time to pass: tests put clocks and cells where they
// want them, far enough from any limit that a descheduled test still holds.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <string>

#include "limiter.hpp"
#include "packet.hpp"

namespace natra::test {

constexpr std::uint64_t ms = 1'000'000;  // ns
constexpr std::uint64_t second = 1000 * ms;

class LimiterTest : public testing::TestWithParam<Variant> {
protected:
    void SetUp() override {
        if (!may_load_bpf()) GTEST_SKIP() << "needs CAP_BPF";
        if (GetParam() == Variant::current && !has_fetching_atomics()) GTEST_SKIP() << "kernel before 5.12";
        limiter_ = &loaded(GetParam());
        limiter_->reset();
    }

    Limiter& limiter() { return *limiter_; }
    natra_state& state() { return limiter_->state(); }
    natra_config& config() { return limiter_->config(); }

    // 1 Mbit/s: 1000 bytes take 8 ms.
    void limit(datapath::Shaper shaper, std::uint64_t rate_bps = 1'000'000,
               datapath::Direction direction = datapath::Direction::ingress) {
        limiter_->configure({.rate_bps = rate_bps, .shaper = shaper, .direction = direction});
    }

    // Small flows are told from heavy ones by the sketch alone.
    void never_use_up_the_allowance() { config().small_allowance_ns = config().small_allowance_min_ns = 1000 * second; }
    // The same threshold whatever the flows, in cell units.
    void set_tau(std::uint32_t units) { config().tau_min = config().tau_max = units; }
    // Whatever a flow sends makes it heavy, short packets at high rates included.
    void make_all_heavy() {
        set_tau(0);
        config().cell_mult = (1ULL << 44) - 1;
        config().cell_shift = 0;
    }
    // No flow becomes heavy, and small flows may send what they want.
    void make_all_small() {
        set_tau(config().guard);
        config().flow_mult = 0;  // a packet costs one unit
        never_use_up_the_allowance();
    }
    void set_horizon(std::uint64_t ns) { config().horizon_ns = ns; }
    // How far flows may be ahead of their fair share, in ns.
    void set_fair_bound(std::uint64_t ns) {
        config().fair_min = config().fair_max = static_cast<std::uint32_t>(ns >> config().unit_shift);
    }
    // Delays are no reason to drop.
    void never_drop_for_delay() { config().aqm_target_ns = 100'000 * second; }
    void mark_above(std::uint64_t ns) { config().ce_ns = config().l4s_ns = ns; }
    // The total clock is so far ahead of now: a queue of that length.
    std::uint64_t queue(std::uint64_t ns) { return state().total_clock_ns = monotonic_ns() + ns; }

    std::uint32_t units(std::uint64_t ns) { return static_cast<std::uint32_t>(ns >> config().unit_shift); }
    std::uint32_t now_units() { return units(monotonic_ns()); }

    // So many flows compete, for as long as this is called now and then. counted: each flow that the test sends is
    // known to be one of them.
    void compete(std::uint64_t flows, bool counted = true) {
        natra_activity& activity = state().activity;
        const std::uint64_t now = monotonic_ns();
        activity = {.start_ns = now, .until_ns = now + 1000 * second};
        while (flows_of_bits(activity.bits) < flows) ++activity.bits;
        activity.flows = static_cast<std::uint32_t>(flows_of_bits(activity.bits));
        if (counted) {
            for (auto& epoch : activity.seen) std::fill(std::begin(epoch), std::end(epoch), ~std::uint64_t{0});
        }
    }
    // Linear counting: -m ln(1 - bits/m), rounded down term by term.
    static std::uint64_t flows_of_bits(std::uint64_t bits) {
        const std::uint64_t square = bits * bits;
        return bits + square / 2048 + square * bits / 3 / 1024 / 1024;
    }
    // All flows are ahead of their fair share by so much.
    void ahead_of_share(std::uint64_t ns) {
        const std::uint32_t clock = now_units() + units(ns);
        for (auto& row : state().fair) std::fill(std::begin(row), std::end(row), clock);
    }
    // The furthest that any flow is ahead of its fair share, in cell units.
    std::uint32_t furthest_ahead() {
        std::uint32_t furthest = 0;
        const std::uint32_t now = now_units();
        for (const auto& row : state().fair) {
            for (const std::uint32_t cell : row) {
                if (cell - now <= config().guard) furthest = std::max(furthest, cell - now);
            }
        }
        return furthest;
    }
    // Runs the packet. True if it passed at once.
    bool passes_at_once(const Packet& packet, const Meta& meta = {}) {
        const std::uint64_t before = limiter().counters().fast_packets;
        limiter().run(packet, meta);
        return limiter().counters().fast_packets == before + 1;
    }

    std::uint64_t cost(std::uint64_t bytes) { return bytes * config().total_mult >> config().total_shift; }

    // A flow of 1000-byte UDP packets; flows differ by their port.
    static Packet udp_packet(std::uint16_t sport = 1000, unsigned ecn = 0) {
        return eth / ip4("10.0.0.1", "10.0.0.2", {.ecn = ecn}) / udp(sport) / payload(958);
    }
    // The same over TCP.
    static Packet tcp_packet(std::uint16_t sport = 1000, unsigned ecn = 0) {
        return eth / ip4("10.0.0.1", "10.0.0.2", {.ecn = ecn}) / tcp({.sport = sport}) / payload(946);
    }
    static Packet tcp_ack(std::uint16_t sport = 1000, unsigned flags = flag_ack) {
        return eth / ip4("10.0.0.1", "10.0.0.2") / tcp({.sport = sport, .flags = flags});
    }

private:
    // Loaded once: to an emulated processor the verifier's work is seconds.
    static Limiter& loaded(Variant variant) {
        static std::map<Variant, Limiter> all;
        return all.try_emplace(variant, variant).first->second;
    }

    Limiter* limiter_ = nullptr;
};

// All flows are heavy under EDT, and nothing is dropped or marked for its place in the queue.
class AllHeavyTest : public LimiterTest {
protected:
    void SetUp() override {
        LimiterTest::SetUp();
        if (IsSkipped()) return;
        limit(datapath::Shaper::edt);
        make_all_heavy();
        config().fair_min = config().fair_max = config().guard;
        never_drop_for_delay();
        set_horizon(1000 * second);
    }
};

// skb->priority of a packet for that class of HTB.
constexpr std::uint32_t for_class(std::uint32_t minor) { return NATRA_HTB_MAJOR << 16 | NATRA_HTB_BY_FILTER | minor; }

constexpr std::uint64_t packet_bytes = 1000;  // of udp_packet and tcp_packet

inline std::string variant_name(const testing::TestParamInfo<Variant>& info) {
    return info.param == Variant::current ? "natra" : "natra_legacy";
}

#define NATRA_BOTH_VARIANTS(suite)                                                                                     \
    INSTANTIATE_TEST_SUITE_P(Both, suite, testing::Values(Variant::current, Variant::legacy), variant_name)

}  // namespace natra::test
