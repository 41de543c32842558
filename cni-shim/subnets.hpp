// SPDX-License-Identifier: Apache-2.0
// The stock plugin's shapedSubnets and unshapedSubnets, as its releases 1.5.0 and 1.5.1 had them.
#pragma once

#include "cni-shim/cni_error.hpp"
#include "cni-shim/json_text.hpp"
#include "daemon/limits/subnets.hpp"

namespace natra::shim {

// The configuration's lists, or without any those of runtimeConfig.bandwidth; an empty list is none. Unlike
// rates and bursts, they leave the runtime its limits. Code 999 with upstream's texts.
CniResult<limits::SubnetRules> read_subnets(const Json& configuration);

}  // namespace natra::shim
