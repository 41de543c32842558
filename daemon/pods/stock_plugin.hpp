// SPDX-License-Identifier: Apache-2.0
// What the stock bandwidth plugin leaves on a node.
#pragma once

#include <string>
#include <string_view>

namespace natra::pods {

// The IFB device through which it limits what comes from a pod: one for each network and container.
std::string stock_ifb_name(std::string_view network, std::string_view container_id);

}  // namespace natra::pods
