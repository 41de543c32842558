// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/parameters.hpp"

#include <algorithm>
#include <cmath>

namespace natra::datapath {
namespace {

constexpr double ns_per_second = 1e9;
constexpr double ms = 1e6;  // in ns

constexpr std::uint64_t min_rate_bps = 8;
constexpr std::uint64_t max_rate_bps = 1'000'000'000'000'000;

constexpr double gso_segment = 65536;  // bytes: the largest segment most devices take
constexpr double full_frame = 1514;    // bytes

// Share of the rate at which small flows together may run.
constexpr double small_share = 0.73;

// Longest of all horizons: departures have to stay within fq's own of 10 s.
constexpr double horizon_max = 9'000 * ms;

// A rate in the two units the formulas need.
struct Rate {
    double bytes;  // per second
    // Time in which the rate carries so many bytes, in ns.
    double ns_for(double count) const { return count * ns_per_second / bytes; }
};

std::uint64_t to_ns(double ns) { return static_cast<std::uint64_t>(std::llround(ns)); }
std::uint32_t to_units(double ns, std::uint32_t unit_shift) {
    return static_cast<std::uint32_t>(std::ceil(std::ldexp(ns, -static_cast<int>(unit_shift))));
}

struct FixedPoint {
    std::uint64_t mult;
    std::uint32_t shift;
};

// The most precise mult >> shift for a factor, with mult < 2^44. Rounded up:
// a rate is never exceeded by rounding.
FixedPoint fixed_point(double factor) {
    constexpr int mult_bits = 44;
    constexpr int max_shift = 63;
    int exponent = 0;
    std::frexp(factor, &exponent);  // factor < 2^exponent
    const int shift = std::clamp(mult_bits - 1 - exponent, 0, max_shift);
    return {static_cast<std::uint64_t>(std::ceil(std::ldexp(factor, shift))), static_cast<std::uint32_t>(shift)};
}

// The credit that the total clock may save, in ns.
double burst_ns(const ShapeRequest& request, const Rate& rate) {
    // Below TCP's minimal retransmission timeout a policer looks like a dead link.
    constexpr double police_min = 200 * ms;
    constexpr double paced_default = 5 * ms;
    constexpr double explicit_min = 1 * ms;
    constexpr double explicit_max = 1e15;  // 11 days: far from any overflow

    const bool police = request.shaper == Shaper::police;
    if (request.burst_bits == 0) {
        return police ? police_min : paced_default;
    }
    const double wanted = rate.ns_for(static_cast<double>(request.burst_bits) / 8);
    return std::clamp(wanted, police ? police_min : explicit_min, explicit_max);
}

// M, how far small flows may run ahead of their clock, in ns. HTB queues the
// excess, so it needs less. Slow rates get room for one short flow, as far as the
// first second after idle stays within 1.1 of the cap (see parameters_test.cpp).
double small_allowance_ns(Shaper shaper, const Rate& rate) {
    constexpr double queued = 20 * ms;
    constexpr double unqueued = 50 * ms;
    constexpr double max = 80 * ms;
    return std::clamp(rate.ns_for(gso_segment), shaper == Shaper::htb ? queued : unqueued, max);
}

// The longest delay of a heavy packet, in ns.
double horizon_tcp_ns(Direction direction, const Rate& rate) {
    // A drop at the sender's own device is no sign to TCP: there it needs more room.
    const double base = direction == Direction::egress ? 250 * ms : 100 * ms;
    return std::clamp(4 * rate.ns_for(gso_segment), base, horizon_max);
}

double horizon_other_ns(Direction direction, const Rate& rate) {
    // A socket in the pod whose whole buffer waits at the pod's device makes its sender wait, and nothing is lost:
    // there its 90 full frames (of a default buffer) have room, though no more time than TCP's.
    constexpr double socket_buffer = 92 * full_frame;
    constexpr double longest = 250 * ms;
    const double buffer = direction == Direction::egress ? std::min(rate.ns_for(socket_buffer), longest) : 0;
    return std::clamp(std::max(buffer, 4 * rate.ns_for(full_frame)), 50 * ms, horizon_max);
}

// Cells are 32 bits of 2^shift ns and wrap: a cell left over from 2^32 units ago
// counts as ahead of now with a chance of guard / 2^32. Hence units as coarse as
// 64 bytes allow (smallest_cost_ns), and coarser still where guard would be large.
std::uint32_t unit_shift(double smallest_cost_ns, double guard_ns) {
    constexpr double units_per_smallest_cost = 16;
    constexpr int finest = 8;
    constexpr int coarsest = 20;           // 1 ms
    constexpr double guard_max = 1 << 27;  // units

    int shift = std::clamp(std::ilogb(smallest_cost_ns / units_per_smallest_cost), finest, coarsest);
    while (std::ldexp(guard_ns, -shift) > guard_max) {
        ++shift;
    }
    return static_cast<std::uint32_t>(shift);
}

// How far a heavy flow may be ahead of its fair share, in ns.
double fair_ns(Shaper shaper, const Rate& rate) {
    // A policed flow lives on bursts of the whole bucket: less makes TCP lose a tenth of the rate and more.
    const double base = shaper == Shaper::police ? 200 * ms : 40 * ms;
    return std::clamp(2 * rate.ns_for(gso_segment), base, horizon_max);
}

void set_clocks(natra_config& config, const Rate& rate) {
    const double ns_per_byte = rate.ns_for(1);
    const FixedPoint total = fixed_point(ns_per_byte);
    config.total_mult = total.mult;
    config.total_shift = total.shift;
    const FixedPoint small = fixed_point(ns_per_byte / small_share);
    config.small_mult = small.mult;
    config.small_shift = small.shift;
}

// Needs horizon_tcp_ns and horizon_other_ns.
void set_sketch(natra_config& config, const Rate& rate, const ShapeRequest& request) {
    constexpr double excess = 100 * ms;
    constexpr double longest_packet = 1 << 20;    // bytes, as the program cuts it
    constexpr std::uint64_t most = 256ULL << 20;  // beyond, a cell's units would be too coarse for small packets

    const double drain = std::min(std::max(rate.bytes / 32, 125e3), rate.bytes / 10);  // phi*R
    const auto by_rate = std::max(static_cast<double>(request.heavy.bytes),
                                  rate.bytes * static_cast<double>(request.heavy.ns) / ns_per_second);
    const double threshold = request.heavy_threshold_bytes != 0
                                 ? static_cast<double>(std::min(request.heavy_threshold_bytes, most))
                                 : by_rate;  // T
    const double tau = threshold * ns_per_second / drain;
    // The furthest a cell is ever set ahead of now: a heavy flow's packets wait no longer than that.
    const auto horizon = static_cast<double>(std::max(config.horizon_tcp_ns, config.horizon_other_ns));
    const double longest_wait = std::min(horizon + rate.ns_for(longest_packet), static_cast<double>(NATRA_EDT_MAX_NS));
    const double furthest = tau + std::max(excess, longest_wait);

    const std::uint32_t shift = unit_shift(64 * ns_per_second / drain, furthest);
    config.unit_shift = shift;
    config.tau = to_units(tau, shift);
    config.excess_cap = to_units(excess, shift);
    config.guard = to_units(furthest, shift) + 2;  // tau and excess were rounded up each
    const FixedPoint cell = fixed_point(std::ldexp(ns_per_second / drain, -static_cast<int>(shift)));
    config.cell_mult = cell.mult;
    config.cell_shift = cell.shift;
}

}  // namespace

natra_config make_config(const ShapeRequest& request) {
    const std::uint64_t rate_bps = std::clamp(request.rate_bps, min_rate_bps, max_rate_bps);
    const Rate rate{static_cast<double>(rate_bps) / 8};

    natra_config config{};
    set_clocks(config, rate);
    config.burst_ns = to_ns(burst_ns(request, rate));

    config.small_allowance_ns = to_ns(small_allowance_ns(request.shaper, rate));
    config.small_allowance_min_ns = config.small_allowance_ns * 3 / 2;
    config.small_allowance_inv = (15ULL << 40) / (16 * config.small_allowance_ns);

    config.horizon_tcp_ns = to_ns(horizon_tcp_ns(request.direction, rate));
    config.horizon_other_ns = to_ns(horizon_other_ns(request.direction, rate));
    set_sketch(config, rate, request);
    // Slow rates: a few full frames in the queue are not congestion.
    config.ce_ns = to_ns(std::clamp(4 * rate.ns_for(full_frame), 12 * ms, horizon_max));
    config.fair_ns = to_ns(fair_ns(request.shaper, rate));

    switch (request.shaper) {
    case Shaper::edt: config.mode = NATRA_MODE_EDT; break;
    case Shaper::htb: config.mode = NATRA_MODE_HTB; break;
    case Shaper::police: config.mode = NATRA_MODE_POLICE; break;
    }
    config.flags = (request.direction == Direction::ingress ? NATRA_F_TO_POD : 0U) |
                   (request.ingress_hook ? NATRA_F_INGRESS_HOOK : 0U) |
                   (request.no_link_header ? NATRA_F_NO_LINK_HEADER : 0U) |
                   (request.shared_counters ? NATRA_F_SHARED_COUNTERS : 0U);
    return config;
}

}  // namespace natra::datapath
