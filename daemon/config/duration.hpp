// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace natra::config {

// "5ms", "1.5 s", "250us", "100ns": a decimal number and its unit, in ns, rounded to the nearest.
// Absent for anything else, and for 2^63 ns and more.
std::optional<std::uint64_t> parse_duration(std::string_view text);

// In the largest unit of which it is a whole number: "5ms".
std::string print_duration(std::uint64_t ns);

}  // namespace natra::config
