// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bpf/natra_abi.h"
#include "daemon/limits/subnets.hpp"

namespace natra::pods {

// For the data path, which compares words.
natra_subnets to_table(const limits::SubnetRules& rules);

}  // namespace natra::pods
