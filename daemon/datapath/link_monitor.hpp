// SPDX-License-Identifier: Apache-2.0
#pragma once

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

// A nonblocking socket that becomes readable when devices of the calling thread's namespace change.
Result<UniqueFd> open_link_monitor();
struct LinkEvents {
    std::vector<LinkEvent> events;
    bool lost = false;  // more came than the socket could hold: look for yourself
};
// Everything that waits there.
LinkEvents read_link_events(int monitor);

}  // namespace natra::datapath
