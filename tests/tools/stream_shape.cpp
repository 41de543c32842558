// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/stream_shape.hpp"

#include <algorithm>
#include <cmath>

#include "tests/tools/udp.hpp"

namespace natra::traffic {

StreamShape shape_of(const StreamPlan& plan, int family) {
    const auto bytes_per_second = static_cast<double>(plan.rate) / 8;
    StreamShape shape{.payload = plan.payload};
    if (plan.bursts_per_second > 0) {
        const auto headers = static_cast<double>(wire_bytes(plan.payload, family) - plan.payload);
        const double burst = bytes_per_second / static_cast<double>(plan.bursts_per_second);
        const double packets = std::ceil(burst / static_cast<double>(wire_bytes(plan.payload, family)));
        const double payload = std::floor(burst / packets - headers);
        shape.packets_per_burst = static_cast<std::uint64_t>(packets);
        shape.payload = static_cast<std::size_t>(std::max(payload, static_cast<double>(min_stream_payload)));
    }
    const auto burst_bytes = shape.packets_per_burst * wire_bytes(shape.payload, family);
    shape.period = std::chrono::duration<double>(static_cast<double>(burst_bytes) / bytes_per_second);
    const auto bursts = static_cast<std::uint64_t>(std::chrono::duration<double>(plan.duration) / shape.period);
    shape.packets = shape.packets_per_burst * std::max<std::uint64_t>(bursts, 1);
    return shape;
}

}  // namespace natra::traffic
