// SPDX-License-Identifier: Apache-2.0
// Numbers of a network configuration as plugins get them. Pure.
#pragma once

#include "daemon/cni/json_text.hpp"

namespace natra::cni {

// libcni reads a plugin's configuration with Go's float64 for every number and prints it anew: "2e7" and "20000000.0"
// reach the plugin as 20000000, 9007199254740993 as 9007199254740992.
Json with_libcni_numbers(Json value);

}  // namespace natra::cni
