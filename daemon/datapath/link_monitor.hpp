// SPDX-License-Identifier: Apache-2.0
// Tells of devices that appear, change and vanish.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "daemon/util/error.hpp"
#include "daemon/util/unique_fd.hpp"

namespace natra::datapath {

struct LinkEvent {
    bool deleted = false;
    int ifindex = 0;
    std::string name;
};

struct LinkEvents {
    std::vector<LinkEvent> events;
    bool lost = false;  // the kernel had more to tell than fitted: look at the devices themselves
};

// A nonblocking socket that becomes readable when devices of the calling thread's namespace change.
Result<UniqueFd> open_link_monitor();
// Every event that waits there.
LinkEvents read_link_events(int monitor);
// Those of one datagram. Pure; what is malformed is left out.
std::vector<LinkEvent> parse_link_events(std::span<const std::byte> datagram);

}  // namespace natra::datapath
