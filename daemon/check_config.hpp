// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemon/config/load.hpp"

namespace natra {

// natrad --check-config: prints problems to stderr, or that there are none and the effective values to
// stdout. An unknown key is a problem here. The process's exit status.
int check_config(const config::Sources& sources);

// natrad --check-reload, before SIGHUP: logs the errors because of which a reload would be refused. Unknown keys are
// none, as for the reload itself. The process's exit status: exit_configuration if there are errors.
int check_reload(const config::Sources& sources);

}  // namespace natra
