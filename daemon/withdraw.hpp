// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemon/config/load.hpp"

namespace natra {

// natrad --withdraw: undoes what natrad has done on this machine, for the removal of its package. Takes natra out of
// the chains that it was put into, lifts the limits of all pods and forgets them. Succeeds where there is nothing,
// or no BPF. EXIT_FAILURE, with the reasons in the log, while a natrad runs or if something stayed.
int withdraw(const config::Sources& sources);

}  // namespace natra
