// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace natra::traffic {

inline constexpr std::size_t min_stream_payload = 16;    // bytes: StreamHeader
inline constexpr std::size_t max_stream_payload = 1452;  // bytes: no fragments, with IPv6 neither

// One UDP flow in bursts, as a video sender makes it of its frames.
struct StreamPlan {
    std::uint64_t rate = 0;               // bit/s on the wire, see wire_bytes()
    std::size_t payload = 0;              // bytes of a packet at most, from min_ to max_stream_payload
    std::uint64_t bursts_per_second = 0;  // 0: single packets of `payload`, evenly spaced
    std::chrono::milliseconds duration{0};
};

struct StreamShape {
    std::uint64_t packets_per_burst = 1;
    std::size_t payload = 0;                  // bytes of every packet
    std::chrono::duration<double> period{0};  // from one burst to the next; the rate is exact by it
    std::uint64_t packets = 0;                // of the whole stream; whole bursts, one at least
};

// A burst is cut into the fewest packets, all of one size. Where one is too small even for the smallest packet, bursts
// come less often than planned.
StreamShape shape_of(const StreamPlan& plan, int family);

}  // namespace natra::traffic
