// SPDX-License-Identifier: Apache-2.0
// Heavy flows as the operator sees them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "daemon/datapath/instance.hpp"

namespace natra::pods {

struct Flow {
    std::string protocol;  // "tcp", "udp", ...; an IP protocol's number; "0x0806" for what is not IP
    std::string source;    // an address; empty for what is not IP
    std::uint16_t source_port = 0;
    std::string destination;
    std::uint16_t destination_port = 0;
    std::uint64_t rate_bps = 0;  // over the last second
    double share = 0;            // rate_bps by the direction's limit
    std::uint64_t bytes = 0;     // passed while heavy
    std::uint64_t dropped_bytes = 0;
    std::uint32_t packets = 0;
    std::uint32_t marked_packets = 0;
    std::uint32_t dropped_packets = 0;
    std::uint64_t first_seen_usec = 0;  // CLOCK_MONOTONIC
    std::uint64_t last_seen_usec = 0;
};

// Largest rate first; top 0: all. None of a direction that is not limited (null). limit_bps: the direction's. Any
// thread.
std::vector<Flow> heavy_flows(const datapath::Instance* instance, std::uint64_t limit_bps, std::size_t top);

}  // namespace natra::pods
