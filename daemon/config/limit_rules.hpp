// SPDX-License-Identifier: Apache-2.0
// limits.default and limits.max: lists of rules by namespace.
#pragma once

#include <cstdint>

#include "daemon/config/schema.hpp"
#include "daemon/limits/rules.hpp"

namespace natra::config {

enum class RuleKind : std::uint8_t { defaults, ceilings };  // the second have no bursts

// [{"namespaces": ["team-*"], "ingress": {"rate": "10M", "burst": "1M"}, "egress": {"rate": 5000000}}, ...]: rates in
// bit/s, 1000 to 10^15, bursts in bits, 8 to 4 GiB, as integers or Kubernetes quantities.
// Code::invalid_argument, whose text begins with where it is: `[0].ingress.rate: "x" is not ...`.
Result<void> read_rules(const Json& value, RuleKind kind, limits::Rules& into);
// In the same form, amounts as integers.
Json show_rules(const limits::Rules& rules);

}  // namespace natra::config
