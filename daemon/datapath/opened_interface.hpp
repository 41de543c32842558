// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "daemon/datapath/netns.hpp"

namespace natra::datapath {

// The interface that a caller had open, as far as the caller could tell: 0 or empty where it could not. Names and paths
// may lead to another one by now.
struct OpenedInterface {
    NetnsId netns;
    std::uint64_t netns_cookie = 0;
    int ifindex = 0;
    std::string mac;  // "0a:58:..."
};

}  // namespace natra::datapath
