// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "daemon/cni/request.hpp"

namespace natra::shim {

// What tells the interface `name` of an open namespace from all others. What the caller may not see is left out.
cni::OpenedInterface identify(int netns_fd, const std::string& name);

}  // namespace natra::shim
