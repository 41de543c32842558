// SPDX-License-Identifier: Apache-2.0
// Exit statuses of natrad beside EXIT_SUCCESS and EXIT_FAILURE. natrad.service names them: systemd does not start
// natrad again after them, for the same would happen.
#pragma once

#include <sysexits.h>

namespace natra {

inline constexpr int exit_usage = 2;
inline constexpr int exit_configuration = EX_CONFIG;  // 78

}  // namespace natra
