// SPDX-License-Identifier: Apache-2.0
// What the BPF program costs per packet: BPF_PROG_TEST_RUN, the best of several
// rounds, beside an empty program and a plain EDT limiter in the same harness.
//
// The kernel runs one packet over and over, so a case fixes the state that the
// packet meets rather than a traffic mix. Usage: bpf_cost [repeats [rounds]].
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "bpf_reference.skel.h"
#include "tests/bpf/limiter.hpp"

namespace {

using namespace natra::test;
using natra::datapath::Direction;
using natra::datapath::Shaper;

struct Effort {
    int repeats;
    int rounds;
};

// ns per run, best of the rounds. `before` restores the state that the case is about.
double cost_ns(int program_fd, const Bytes& packet, const Effort& effort, const std::function<void()>& before) {
    double best = std::numeric_limits<double>::max();
    for (int round = 0; round < effort.rounds; ++round) {
        before();
        __sk_buff context{};
        context.wire_len = static_cast<std::uint32_t>(packet.size());
        bpf_test_run_opts options{};
        options.sz = sizeof(options);
        options.data_in = packet.data();
        options.data_size_in = static_cast<std::uint32_t>(packet.size());
        options.ctx_in = &context;
        options.ctx_size_in = sizeof(context);
        options.repeat = effort.repeats;
        if (bpf_prog_test_run_opts(program_fd, &options) != 0) {
            throw std::runtime_error("BPF_PROG_TEST_RUN failed");
        }
        best = std::min(best, static_cast<double>(options.duration));
    }
    return best;
}

struct Case {
    std::string name;
    Shaper shaper;
    std::uint64_t rate_bps;
    Packet packet;
    std::function<void(Limiter&)> before;
};

constexpr std::uint64_t second = 1'000'000'000;  // ns

// A flow stays small, whatever it sends, and is alone.
void all_small(Limiter& limiter) {
    limiter.config().tau_min = limiter.config().tau_max = limiter.config().guard;
    limiter.state().activity = {};
    limiter.state().total_clock_ns = 0;
}
// ... and each of its packets overtakes heavy ones that wait.
void all_small_before_a_queue(Limiter& limiter) {
    all_small(limiter);
    limiter.state().total_clock_ns = monotonic_ns() + 10 * second;
}
// A flow that was not met before finds no room among those that were, so it is a stranger with every packet.
void nobody_known(Limiter& limiter) {
    all_small(limiter);
    constexpr std::uint32_t met_twice = 1;
    const auto tick = static_cast<std::uint32_t>(monotonic_ns() >> 26) & 0x7fff;
    for (auto& entry : limiter.state().met) entry = {.tag = tick << 1 | met_twice, .until = 0};
}
// ... and strangers have sent more than a flow may.
void flooded(Limiter& limiter) {
    nobody_known(limiter);
    for (auto& clock : limiter.state().stranger_clock) clock = ~0ULL >> 1;
}
// A flow is heavy at once, whatever it sends, and there is no queue yet.
void all_heavy(Limiter& limiter) {
    limiter.config().tau_min = limiter.config().tau_max = 0;
    limiter.state().activity = {};
    limiter.state().total_clock_ns = 0;
}
// ... and it meets a queue that a mark would be due for, and other heavy flows.
void all_heavy_and_shared(Limiter& limiter) {
    all_heavy(limiter);
    limiter.config().ce_ns = 0;
    limiter.config().fair_min = limiter.config().fair_max = limiter.config().guard;
    auto& activity = limiter.state().activity;
    const std::uint64_t now = monotonic_ns();
    activity = {.start_ns = now, .until_ns = now + 1000 * second, .bits = 64, .flows = 66};
    for (auto& epoch : activity.seen) std::fill(std::begin(epoch), std::end(epoch), ~std::uint64_t{0});
}
// All slots are compared, and none says that the packet is not to be limited.
void unmatched_list(Limiter& limiter) {
    all_small(limiter);
    limiter.state().subnets.mode = NATRA_SUBNETS_UNSHAPED;
    for (auto& each : limiter.state().subnets.subnet) each.ethertype = NATRA_SUBNET_UNUSED;
}

std::vector<Case> cases() {
    // At `fast` a packet costs 8 ns and never waits; at `busy` 105 ns, somewhat more than it takes to run, so a
    // queue grows that stays within the horizon; at `slow` every packet but the first is beyond it.
    constexpr std::uint64_t fast = 1'000'000'000'000;
    constexpr std::uint64_t busy = 80'000'000'000;
    constexpr std::uint64_t slow = 1'000'000;
    const Packet v4 = eth / ip4("10.0.0.1", "10.0.0.2") / tcp() / payload(1000);
    const Packet v6 = eth / ip6("fd00::1", "fd00::2") / tcp() / payload(1000);
    const Packet v6_extensions = eth / ip6("fd00::1", "fd00::2") / extension(Extension::hop_by_hop) /
                                 extension(Extension::dest_options) / tcp() / payload(1000);
    const Packet tagged = eth / vlan(5) / ip4("10.0.0.1", "10.0.0.2") / tcp() / payload(1000);
    const Packet ack = eth / ip4("10.0.0.1", "10.0.0.2") / tcp();
    return {
        {"small", Shaper::edt, fast, v4, all_small},
        {"pure ACK", Shaper::edt, fast, ack, all_small},
        {"small, VLAN tag", Shaper::edt, fast, tagged, all_small},
        {"small, IPv6", Shaper::edt, fast, v6, all_small},
        {"small, IPv6, two extension headers", Shaper::edt, fast, v6_extensions, all_small},
        {"small, htb", Shaper::htb, fast, v4, all_small},
        {"small, htb, before a queue", Shaper::htb, fast, v4, all_small_before_a_queue},
        {"small, stranger", Shaper::edt, fast, v4, nobody_known},
        {"small, a list of subnets", Shaper::edt, fast, v4, unmatched_list},
        {"heavy, edt", Shaper::edt, busy, v4, all_heavy},
        {"heavy, edt, fairness", Shaper::edt, busy, v4, all_heavy_and_shared},
        {"heavy, edt, flood of strangers", Shaper::edt, busy, v4, flooded},
        {"heavy, edt, IPv6", Shaper::edt, busy, v6, all_heavy},
        {"heavy, htb", Shaper::htb, busy, v4, all_heavy},
        {"heavy, police", Shaper::police, busy, v4, all_heavy},
        {"dropped, edt", Shaper::edt, slow, v4, all_heavy},
        {"dropped, edt, flood of strangers", Shaper::edt, slow, v4, flooded},
        {"dropped, police", Shaper::police, slow, v4, all_heavy},
    };
}

void print(const std::string& name, double ns, double edt) {
    std::printf("%-38s %6.0f ns  %+5.0f ns\n", name.c_str(), ns, ns - edt);
}

int run(const Effort& effort) {
    const Bytes packet = (eth / ip4("10.0.0.1", "10.0.0.2") / tcp() / payload(1000)).bytes();
    bpf_reference* programs = bpf_reference::open_and_load();
    if (programs == nullptr) {
        throw std::runtime_error("cannot load the reference programs");
    }
    auto& plain = programs->bss->reference;
    // costs as above: 8 ns and 105 ns
    const auto idle = [&] { plain = {.clock_ns = 0, .mult = 8, .shift = 10, .horizon_ns = 1'000'000'000}; };
    const auto queueing = [&] { plain = {.clock_ns = 0, .mult = 102, .shift = 10, .horizon_ns = 1'000'000'000}; };

    std::printf("%-38s %9s  %8s\n", "packet", "cost", "- plain");
    const double edt = cost_ns(bpf_program__fd(programs->progs.plain_edt), packet, effort, queueing);
    print("(empty program)", cost_ns(bpf_program__fd(programs->progs.empty), packet, effort, [] {}), edt);
    print("(reading the clock)", cost_ns(bpf_program__fd(programs->progs.clock_only), packet, effort, [] {}), edt);
    print("(plain EDT, idle)", cost_ns(bpf_program__fd(programs->progs.plain_edt), packet, effort, idle), edt);
    print("(plain EDT, queueing)", edt, edt);
    bpf_reference::destroy(programs);

    for (const auto& [variant, title] : {std::pair{Variant::current, "natra"}, {Variant::legacy, "natra_legacy"}}) {
        std::printf("-- %s\n", title);
        for (const Case& one : cases()) {
            Limiter limiter(variant);
            limiter.configure({.rate_bps = one.rate_bps, .shaper = one.shaper, .direction = Direction::ingress});
            print(one.name, cost_ns(limiter.program_fd(), one.packet.bytes(), effort, [&] { one.before(limiter); }),
                  edt);
        }
    }
    return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const Effort effort{.repeats = argc > 1 ? std::atoi(argv[1]) : 1'000'000,
                            .rounds = argc > 2 ? std::atoi(argv[2]) : 5};
        if (effort.repeats < 1 || effort.rounds < 1) {
            std::fprintf(stderr, "usage: bpf_cost [repeats [rounds]]\n");
            return EXIT_FAILURE;
        }
        return run(effort);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "bpf_cost: %s\n", error.what());
        return EXIT_FAILURE;
    }
}
