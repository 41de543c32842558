// SPDX-License-Identifier: Apache-2.0
// What a caller asked for, in the units of CNI: rates in bit/s, bursts in bits.
// Pure: no kernel, no bus, no clock. Used by natrad and by the CNI shim.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "daemon/util/error.hpp"

namespace natra::limits {

// Upstream's bound: a burst must be below 4 GiB, that is (2^32 - 1) * 8 bits.
inline constexpr std::uint64_t burst_limit_bits = 34359738360;
// Below one byte per second a rate has no meaning; 1..7 bit/s are raised to it.
inline constexpr std::uint64_t min_rate_bps = 8;
// Kubernetes' own bound, 1P, for a rate from anywhere.
inline constexpr std::uint64_t max_rate_bps = 1'000'000'000'000'000;

// Where a limit comes from, weakest first (docs: precedence). A ceiling is above what is weaker.
enum class Source : std::uint8_t { none, node_default, runtime, annotation, conf, ceiling, operator_override };
std::string_view to_string(Source source);            // "none", "default", "runtime", ...
std::optional<Source> source_from(std::string_view);  // the inverse

// One direction. rate_bps == 0: not limited; with a source: that source says so. burst_bits and heavy_threshold_bytes
// == 0: natrad's default.
struct Limit {
    std::uint64_t rate_bps = 0;
    std::uint64_t burst_bits = 0;
    Source source = Source::none;
    std::uint64_t heavy_threshold_bytes = 0;  // what a flow may send above its share before it counts as heavy
    friend bool operator==(const Limit&, const Limit&) = default;
    [[nodiscard]] bool limited() const { return rate_bps != 0; }
};

// ingress = to the pod, egress = from the pod.
struct Limits {
    Limit ingress;
    Limit egress;
    friend bool operator==(const Limits&, const Limits&) = default;
    [[nodiscard]] bool any() const { return ingress.limited() || egress.limited(); }
};

// Upstream's rules for one direction, with upstream's texts ("if rate is set, burst must also be set", ...).
Result<void> validate_pair(std::uint64_t rate_bps, std::uint64_t burst_bits);

// True for the values that runtimes send when nobody asked for a burst
// (MaxInt32, MaxUint32, MaxUint32*8-1, 4 Gi and the like).
bool is_filler_burst(std::uint64_t burst_bits);

// What the data path is told: the limit after the burst policy.
struct BurstPolicy {
    bool honour_fillers = false;                 // burstPolicy "runtime": upstream's behaviour, no burst is changed
    std::uint64_t default_burst_ns = 0;          // given to limits without a burst, at their rate; 0: none is given
    std::uint64_t max_burst_ns = 1'000'000'000;  // an explicit burst is cut to this time at the rate
};
Limit apply_burst_policy(const Limit& limit, const BurstPolicy& policy);

}  // namespace natra::limits
