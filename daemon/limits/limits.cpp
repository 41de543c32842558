// SPDX-License-Identifier: Apache-2.0
#include "daemon/limits/limits.hpp"

#include <algorithm>
#include <array>

namespace natra::limits {
namespace {

constexpr std::array source_names{"none", "runtime", "annotation", "conf", "operator_override"};

// What kubelet, containerd, CRI-O and Calico fill in where nobody asked for a burst.
constexpr std::array<std::uint64_t, 6> fillers{
    2147483647,   // MaxInt32
    2147483648,   // 2^31
    4294967295,   // MaxUint32
    4294967296,   // 4 Gi
    34359738359,  // MaxUint32 * 8 - 1
    34359738360,  // MaxUint32 * 8
};

}  // namespace

std::string_view to_string(Source source) { return source_names.at(static_cast<std::size_t>(source)); }

std::optional<Source> source_from(std::string_view name) {
    for (std::size_t i = 0; i < source_names.size(); ++i)
        if (name == source_names.at(i)) return static_cast<Source>(i);
    return std::nullopt;
}

Result<void> validate_pair(std::uint64_t rate_bps, std::uint64_t burst_bits) {
    if (burst_bits == 0 && rate_bps != 0)
        return fail(Error::Code::invalid_argument, "if rate is set, burst must also be set");
    if (rate_bps == 0 && burst_bits != 0)
        return fail(Error::Code::invalid_argument, "if burst is set, rate must also be set");
    if (burst_bits >= burst_limit_bits)
        return fail(Error::Code::invalid_argument, "burst cannot be more than 4GB");
    return {};
}

bool is_filler_burst(std::uint64_t burst_bits) {
    return std::find(fillers.begin(), fillers.end(), burst_bits) != fillers.end();
}

Limit apply_burst_policy(const Limit& limit, const BurstPolicy& policy) {
    Limit out = limit;
    if (!out.limited()) return out;
    out.rate_bps = std::max(out.rate_bps, min_rate_bps);
    if (policy.honour_fillers) return out;
    if (is_filler_burst(out.burst_bits)) out.burst_bits = 0;
    const auto most = static_cast<double>(out.rate_bps) * static_cast<double>(policy.max_burst_ns) / 1e9;
    if (static_cast<double>(out.burst_bits) > most) out.burst_bits = static_cast<std::uint64_t>(most);
    return out;
}

}  // namespace natra::limits
