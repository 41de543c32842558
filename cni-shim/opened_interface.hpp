// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "daemon/cni/request.hpp"

namespace natra::shim {

// Identifies the interface `name` of an open namespace. Fields that the caller may not read stay empty.
cni::OpenedInterface identify(int netns_fd, const std::string& name);

}  // namespace natra::shim
