// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "daemon/util/error.hpp"
#include "daemon/util/unique_fd.hpp"

namespace natra::shim {

// Code::no_device, with upstream's text, if there is nothing at `path`, or no network namespace.
Result<UniqueFd> open_netns(const std::string& path);

// Is it the namespace that this process is in? False for what cannot be looked at.
bool is_own_netns(const std::string& path);

}  // namespace natra::shim
