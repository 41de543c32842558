// SPDX-License-Identifier: Apache-2.0
// What is asked for and not in force.
#pragma once

#include <string>
#include <vector>

#include "daemon/pods/pod.hpp"

namespace natra::pods {

// Why a direction is not limited although it is asked for; empty if it is in force, or not asked for.
std::string shortfall(const Pod& pod, datapath::Direction direction);

// Whether these are the limits in the kernel, but for what the interface cannot be held to.
bool is_in_force(const limits::Limits& limits, const datapath::AttachmentRecord& record);

// "shop/web-0 eth0: ingress is not limited: ..." for each such direction.
std::vector<std::string> shortfalls(const Pod& pod);

}  // namespace natra::pods
