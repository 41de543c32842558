// SPDX-License-Identifier: Apache-2.0
#include "daemon/limits/limits.hpp"

#include <algorithm>
#include <array>
#include <limits>

namespace natra::limits {
namespace {

constexpr std::array<std::string_view, 7> source_names = {"none", "default", "runtime",          "annotation",
                                                          "conf", "ceiling", "operator_override"};

constexpr std::uint64_t max_int32 = std::numeric_limits<std::int32_t>::max();
constexpr std::uint64_t max_uint32 = std::numeric_limits<std::uint32_t>::max();

// The maxima of 32-bit integers, taken once as bits and once as bytes, with the
// round number above each and with what is left after a division into whole bytes.
constexpr std::array<std::uint64_t, 11> filler_bursts = {
    max_int32 / 8 * 8,
    max_int32,
    max_int32 + 1,  // 256 MiB: kubelet's dockershim
    max_uint32 / 8 * 8,
    max_uint32,
    max_uint32 + 1,  // 512 MiB: containerd; Calico's 4 Gi
    max_int32 * 8,
    (max_int32 + 1) * 8,  // 2 GiB
    // 4 GiB: CRI-O; the largest that upstream takes; Calico's bound
    (max_uint32 - 1) * 8,
    max_uint32 * 8 - 1,
    max_uint32 * 8,
};

// rate * time in bits, saturating.
std::uint64_t bits_in(std::uint64_t rate_bps, std::uint64_t time_ns) {
    const auto bits = static_cast<double>(rate_bps) * static_cast<double>(time_ns) / 1e9;
    return static_cast<std::uint64_t>(std::min(bits, static_cast<double>(burst_limit_bits)));
}

}  // namespace

std::string_view to_string(Source source) {
    const auto index = static_cast<std::size_t>(source);
    return index < source_names.size() ? source_names[index] : "none";
}

std::optional<Source> source_from(std::string_view name) {
    const auto* const found = std::find(source_names.begin(), source_names.end(), name);
    if (found == source_names.end()) return std::nullopt;
    return static_cast<Source>(found - source_names.begin());
}

Result<void> validate_pair(std::uint64_t rate_bps, std::uint64_t burst_bits) {
    using Code = Error::Code;
    if (rate_bps == 0 && burst_bits != 0) return fail(Code::invalid_argument, "if burst is set, rate must also be set");
    if (rate_bps != 0 && burst_bits == 0) return fail(Code::invalid_argument, "if rate is set, burst must also be set");
    if (burst_bits >= burst_limit_bits) return fail(Code::invalid_argument, "burst cannot be more than 4GB");
    return {};
}

bool is_filler_burst(std::uint64_t burst_bits) {
    return std::find(filler_bursts.begin(), filler_bursts.end(), burst_bits) != filler_bursts.end();
}

Limit apply_burst_policy(const Limit& limit, const BurstPolicy& policy) {
    Limit out = limit;
    if (!limit.limited()) {
        out.burst_bits = 0;
        return out;
    }
    out.rate_bps = std::max(limit.rate_bps, min_rate_bps);
    // Upstream knows no default and no maximum.
    if (policy.honour_fillers) return out;
    if (is_filler_burst(limit.burst_bits)) out.burst_bits = 0;
    if (out.burst_bits == 0 && policy.default_burst_ns == 0) return out;
    // One byte at least: 0 would turn "as small as possible" into the default of the shaper.
    constexpr std::uint64_t one_byte = 8;
    if (out.burst_bits == 0) out.burst_bits = std::max(bits_in(out.rate_bps, policy.default_burst_ns), one_byte);
    out.burst_bits = std::min(out.burst_bits, std::max(bits_in(out.rate_bps, policy.max_burst_ns), one_byte));
    return out;
}

}  // namespace natra::limits
