// SPDX-License-Identifier: Apache-2.0
// How far the classification of flows can be trusted, read from the sketch as it is now. docs/developers/datapath.md
// has the derivation. Pure.
#pragma once

#include <cstdint>

#include "bpf/natra_abi.h"

namespace natra::datapath {

struct Accuracy {
    double occupancy = 0;                  // 0 to 1: share of cells that are not empty, mean of the rows
    double false_heavy_chance = 0;         // 0 to 1: that a flow which begins now is taken for heavy, whatever it sends
    std::uint64_t overestimate_bytes = 0;  // 99 of 100 flows that begin now are overestimated by at most this
    std::uint64_t threshold_bytes = 0;     // what a flow may send above its share now before it counts as heavy
};

// now_ns: CLOCK_MONOTONIC. All zero for a program that is off, or is configured meanwhile. The program may write
// meanwhile.
Accuracy accuracy_of(const natra_state& state, std::uint64_t now_ns);

}  // namespace natra::datapath
