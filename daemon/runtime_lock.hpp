// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "daemon/util/error.hpp"
#include "daemon/util/unique_fd.hpp"

namespace natra {

// Two natrads would repair and remove each other's work. Held until the descriptor is closed; already_exists
// while another process holds it. Makes the folder.
Result<UniqueFd> lock_runtime_dir(const std::string& directory);

}  // namespace natra
