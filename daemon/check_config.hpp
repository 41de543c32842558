// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemon/config/load.hpp"

namespace natra {

// natrad --check-config: prints problems to stderr, or that there are none and the effective values to
// stdout. An unknown key is a problem here. The process's exit status.
int check_config(const config::Sources& sources);

}  // namespace natra
