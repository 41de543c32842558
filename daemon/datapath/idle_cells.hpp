// SPDX-License-Identifier: Apache-2.0
// Cells of a program's sketch and fair shares that no packet has touched for long.
//
// A cell is the time at which a bucket will be empty, in 32 bits of 2^unit_shift ns. One that is left alone is in the
// past, and seems to be ahead of now when the time has wrapped nearly around: after nine minutes, for 16 s.
#pragma once

#include <cstdint>

#include "bpf/natra_abi.h"

namespace natra::datapath {

// All cells are empty from now on. For a program that is new, or whose units change to 2^unit_shift ns.
void empty_cells(natra_state& state, std::uint32_t unit_shift, std::uint64_t now_ns);

// Cells that have been empty for more than two minutes are empty for as long again, while packets pass. now_ns: of
// CLOCK_MONOTONIC.
void renew_idle_cells(natra_state& state, std::uint64_t now_ns);

}  // namespace natra::datapath
