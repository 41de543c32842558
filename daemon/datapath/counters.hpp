// SPDX-License-Identifier: Apache-2.0
// Counters of the program, as numbers.
#pragma once

#include <array>
#include <cstdint>

#include "bpf/natra_abi.h"

namespace natra::datapath {

inline constexpr std::array<std::uint64_t, NATRA_WAIT_BOUNDS> wait_bounds_ns = NATRA_WAIT_BOUNDS_NS;

// Adds every member. live may be a slot that the program writes meanwhile.
void add(natra_counters& sum, const natra_counters& live);

// The packets whose wait was counted, those of all buckets.
std::uint64_t waits(const natra_counters& counters);

}  // namespace natra::datapath
