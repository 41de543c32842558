// SPDX-License-Identifier: Apache-2.0
// Kubernetes' notation for amounts: "10M", "1.5Gi", "1e6".
#pragma once

#include <cstdint>
#include <string_view>

#include "daemon/util/error.hpp"

namespace natra::limits {

// Rounded up to an integer, as Kubernetes' Quantity.Value() does: "100m" is 1. Exact, without floating point.
// Suffixes n u m k M G T P E (powers of 1000), Ki Mi Gi Ti Pi Ei (of 1024), exponents "e6" and "E6".
// Code::invalid_argument, without the text itself, for what is no quantity, for negative ones, for those of
// more than 30 significant digits and for those above 2^63 - 1.
Result<std::uint64_t> parse_quantity(std::string_view text);

}  // namespace natra::limits
