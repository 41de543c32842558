// SPDX-License-Identifier: Apache-2.0
// The lowest rate that people set. Below it is "50m", which was meant to be 50M and is 0.05. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace natra::limits {

// Of limits that an operator sets. What a runtime or a network configuration asks for follows upstream's rules.
inline constexpr std::uint64_t min_set_rate_bps = 1'000;

// 0 lifts a limit.
constexpr bool is_too_slow(std::uint64_t rate_bps) { return rate_bps != 0 && rate_bps < min_set_rate_bps; }

// Why a rate for which is_too_slow() holds is refused, as it was written: "50m is 0.05 bit/s; did you mean 50M?".
std::string too_slow(std::string_view quantity);

}  // namespace natra::limits
