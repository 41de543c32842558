// SPDX-License-Identifier: Apache-2.0
// Limits in a pod's annotations, and what becomes of them beside those that the
// network configuration or the runtime carry. Pure.
//
//   natra.io/ingress-rate, natra.io/egress-rate    quantity, bit/s; 0: not limited
//   natra.io/ingress-burst, natra.io/egress-burst  quantity, bits; 0: natrad's default
//   natra.io/heavy-threshold                       quantity, bytes, both directions
//   kubernetes.io/ingress-bandwidth, ...egress-bandwidth
//       quantity, bit/s, or {"rate": Q, "burst": Q, "cms": {"width": N, "depth": N, "heavyHitterThreshold": Q}}
//       with quantities as strings or as numbers
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/limits/limits.hpp"

namespace natra::limits {

using Annotations = std::map<std::string, std::string>;

// Is it one of those above, or would it be if it were spelt right?
bool is_relevant_annotation(std::string_view key);

// Kubernetes' own lower bound for a rate in an annotation, in bit/s; the upper one is max_rate_bps.
inline constexpr std::uint64_t min_annotated_rate_bps = 1'000;
// Bounds of a heavy threshold, in bytes: a full frame, and what the sketch can still tell apart.
inline constexpr std::uint64_t min_heavy_threshold_bytes = 1'514;
inline constexpr std::uint64_t max_heavy_threshold_bytes = 256ULL << 20;

struct Interpreted {
    Limits limits;
    std::vector<std::string> warnings;  // a sentence each, printable ASCII, naming annotation and value
};

// asked: the limits of the configuration (Source::conf) or of the runtime. What is wrong in an annotation is
// left out and gives a warning. The configuration's limits stand as they are; otherwise, for each direction,
// natra.io/ comes before the runtime's limit and that before kubernetes.io/. Thresholds always count.
Interpreted interpret(const Limits& asked, const Annotations& annotations);

}  // namespace natra::limits
