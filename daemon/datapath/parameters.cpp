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
struct ByteRate {
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

// The most precise mult >> shift for a factor, with mult < 2^mult_bits. Rounded up:
// a rate is never exceeded by rounding.
FixedPoint fixed_point(double factor, int mult_bits = 44) {
    constexpr int max_shift = 63;
    int exponent = 0;
    std::frexp(factor, &exponent);  // factor < 2^exponent
    const int shift = std::clamp(mult_bits - 1 - exponent, 0, max_shift);
    return {static_cast<std::uint64_t>(std::ceil(std::ldexp(factor, shift))), static_cast<std::uint32_t>(shift)};
}

// The credit that the total clock may save, in ns.
double burst_ns(const ShapeRequest& request, const ByteRate& rate) {
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
double small_allowance_ns(Shaper shaper, const ByteRate& rate) {
    constexpr double queued = 40 * ms;
    constexpr double unqueued = 50 * ms;
    constexpr double max = 80 * ms;
    // An answer of DNS is one frame: with less room than that it would always wait. At 64 kbit/s and above there is.
    constexpr double frames = 2 * full_frame / small_share;
    constexpr double longest = 600 * ms;
    return std::max(std::min(rate.ns_for(frames), longest),
                    std::clamp(rate.ns_for(gso_segment), shaper == Shaper::htb ? queued : unqueued, max));
}

// The longest delay of a heavy packet, in ns. One for all protocols: fairness decides who is refused.
double horizon_ns(Direction direction, const ByteRate& rate) {
    // From the pod, a socket whose whole buffer waits at the pod's device makes its sender wait: there is room for it.
    const double base = direction == Direction::egress ? 250 * ms : 100 * ms;
    // A segment and some more, or slow rates would lose one after the other; but no more than ten frames, unless 2 s
    // have room for more: clients of name servers wait for 5 s.
    const double longest = std::max(2'000 * ms, rate.ns_for(10 * full_frame));
    return std::clamp(std::min(1.25 * rate.ns_for(gso_segment), longest), base, horizon_max);
}

// Cells are 32 bits of 2^shift ns and wrap: a cell that was left alone for 2^32 - guard units seems to be ahead of now.
// idle_cells.hpp renews such cells; units as fine as leave it 31 of 32 parts of the time to do so.
std::uint32_t unit_shift(double guard_ns) {
    constexpr double guard_max = 1 << 27;  // units
    std::uint32_t shift = 0;
    while (std::ldexp(guard_ns, -static_cast<int>(shift)) > guard_max) ++shift;
    return shift;
}

// How far a heavy flow may be ahead of its fair share at least, in ns.
double fair_ns(Shaper shaper, const ByteRate& rate) {
    // A policed flow lives on bursts of the whole bucket: less makes TCP lose a tenth of the rate and more.
    const double base = shaper == Shaper::police ? 200 * ms : 40 * ms;
    return std::clamp(2 * rate.ns_for(gso_segment), base, horizon_max);
}

void set_clocks(natra_config& config, const ByteRate& rate) {
    const double ns_per_byte = rate.ns_for(1);
    const FixedPoint total = fixed_point(ns_per_byte);
    config.total_mult = total.mult;
    config.total_shift = total.shift;
    const FixedPoint small = fixed_point(ns_per_byte / small_share);
    config.small_mult = small.mult;
    config.small_shift = small.shift;
}

void set_sketch(natra_config& config, const ByteRate& rate, const ShapeRequest& request) {
    constexpr double excess = 100 * ms;
    constexpr std::uint64_t most = 256ULL << 20;  // beyond, a cell's units would be too coarse for small packets
    // A flow that takes less than this part of a fair share is small.
    constexpr double privilege = 2.0 / 3;
    // 25 bursts a second of a flow at two thirds of its share: what one of them costs, and some delay.
    constexpr double tau_least = 50 * ms;
    constexpr double tau_most = 4'000 * ms;
    // The program lets no flow's clock of fairness run further ahead than so many times its bound.
    constexpr double fair_cap = 4;

    const bool chosen = request.heavy_threshold_bytes != 0;
    const auto by_rate = std::max(static_cast<double>(request.heavy.bytes),
                                  rate.bytes * static_cast<double>(request.heavy.ns) / ns_per_second);
    const double threshold =
        chosen ? static_cast<double>(std::min(request.heavy_threshold_bytes, most)) : by_rate;  // T
    const double tau = rate.ns_for(threshold) / privilege;
    const double tau_max = std::max(tau, tau_most);
    const double fair_min = fair_ns(request.shaper, rate);
    const double fair_max = std::max(fair_min, tau_most);
    // The furthest a cell is ever set ahead of now.
    const double furthest = std::max(tau_max + excess, fair_cap * fair_max);

    const std::uint32_t shift = unit_shift(furthest);
    const double units = std::ldexp(1, -static_cast<int>(shift));  // of a ns
    config.unit_shift = shift;
    config.tau_flow = static_cast<std::uint64_t>(std::ceil(tau * units));
    config.tau_min = chosen ? 0 : to_units(tau_least, shift);
    config.tau_max = to_units(tau_max, shift);
    config.fair_min = to_units(fair_min, shift);
    config.fair_max = to_units(fair_max, shift);
    config.excess_cap = to_units(excess, shift);
    config.guard = to_units(furthest, shift) + 4;  // what it is the sum of was rounded up each
    const double drain = std::min(std::max(rate.bytes / 32, 125e3), rate.bytes / 10);  // phi*R
    const FixedPoint cell = fixed_point(ns_per_second / drain * units);
    config.cell_mult = cell.mult;
    config.cell_shift = cell.shift;
    // Times a length below 2^20 and as many flows as the program counts: 64 bits.
    const FixedPoint flow = fixed_point(rate.ns_for(1) / privilege * units, 34);
    config.flow_mult = flow.mult;
    config.flow_shift = flow.shift;
}

// The virtual queue: who is marked or dropped when.
void set_queue(natra_config& config, const ByteRate& rate) {
    const double frame = rate.ns_for(full_frame);
    // Slow rates: a few full frames in the queue are not congestion.
    config.ce_ns = to_ns(std::clamp(4 * frame, 12 * ms, 600 * ms));
    config.l4s_ns = to_ns(std::clamp(2 * frame, 1 * ms, 600 * ms));
    config.aqm_target_ns = to_ns(std::clamp(8 * frame, 15 * ms, 750 * ms));
    config.aqm_interval_ns = to_ns(std::clamp(16 * frame, 100 * ms, 1'500 * ms));
}

// The epochs in which flows are counted.
void set_epochs(natra_config& config, const ByteRate& rate) {
    config.epoch_flow_ns = to_ns(std::min(8 * rate.ns_for(full_frame), 1'000 * ms));
    config.epoch_min_ns = to_ns(500 * ms);
    config.epoch_max_ns = to_ns(2'000 * ms);
}

ByteRate clamped(std::uint64_t rate_bps) {
    return {static_cast<double>(std::clamp(rate_bps, min_rate_bps, max_rate_bps)) / 8};
}

}  // namespace

std::uint64_t longest_wait_ns(std::uint64_t rate_bps, Direction direction) {
    // Flows that are not heavy for good have a quarter more.
    return to_ns(1.25 * horizon_ns(direction, clamped(rate_bps)));
}

natra_config make_config(const ShapeRequest& request) {
    const ByteRate rate = clamped(request.rate_bps);

    natra_config config{};
    set_clocks(config, rate);
    config.burst_ns = to_ns(burst_ns(request, rate));

    config.small_allowance_ns = to_ns(small_allowance_ns(request.shaper, rate));
    config.small_allowance_min_ns = config.small_allowance_ns * 3 / 2;

    config.horizon_ns = to_ns(horizon_ns(request.direction, rate));
    set_sketch(config, rate, request);
    set_queue(config, rate);
    set_epochs(config, rate);

    switch (request.shaper) {
    case Shaper::edt: config.mode = NATRA_MODE_EDT; break;
    case Shaper::htb: config.mode = NATRA_MODE_HTB; break;
    case Shaper::police: config.mode = NATRA_MODE_POLICE; break;
    }
    config.flags = (request.direction == Direction::ingress ? NATRA_F_TO_POD : 0U) |
                   (request.no_link_header ? NATRA_F_NO_LINK_HEADER : 0U) |
                   (request.shared_counters ? NATRA_F_SHARED_COUNTERS : 0U) | (request.lose ? NATRA_F_LOSE : 0U);
    return config;
}

}  // namespace natra::datapath
