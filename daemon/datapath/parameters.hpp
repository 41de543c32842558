// SPDX-License-Identifier: Apache-2.0
// From a rate to the numbers the BPF program runs on. Pure; the formulas and
// their reasons are in docs/developers/datapath.md.
#pragma once

#include <cstdint>

#include "bpf/natra_abi.h"

namespace natra::datapath {

enum class Shaper : std::uint8_t { edt, htb, police };
enum class Direction : std::uint8_t { ingress, egress };  // to the pod, from the pod
constexpr Direction opposite(Direction d) { return d == Direction::ingress ? Direction::egress : Direction::ingress; }

// A flow is heavy while its estimate is above the larger of the two.
struct HeavyThreshold {
    std::uint64_t bytes = 32768;
    std::uint64_t ns = 5'000'000;  // of the rate
};

struct ShapeRequest {
    std::uint64_t rate_bps = 0;               // bit/s, 8 .. 10^15
    std::uint64_t burst_bits = 0;             // 0: the default of the shaper
    std::uint64_t heavy_threshold_bytes = 0;  // T; 0: by `heavy` and the rate; cut to 256 MiB
    Shaper shaper = Shaper::police;
    Direction direction = Direction::ingress;
    bool no_link_header = false;   // packets begin with their IP header there
    bool lose = false;             // what is refused is lost on the way, without a word to local sockets
    bool shared_counters = false;  // more possible CPUs than NATRA_COUNTER_SLOTS
    HeavyThreshold heavy;
};

// The longest that any packet waits at a rate (bit/s), its own bytes excluded, in ns.
std::uint64_t longest_wait_ns(std::uint64_t rate_bps, Direction direction);

// Never fails: rates outside the range are clamped into it.
natra_config make_config(const ShapeRequest& request);

}  // namespace natra::datapath
