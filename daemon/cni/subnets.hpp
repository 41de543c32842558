// SPDX-License-Identifier: Apache-2.0
// The stock plugin's shapedSubnets and unshapedSubnets, as its releases 1.5.0 and 1.5.1 had them.
#pragma once

#include "daemon/cni/cni_error.hpp"
#include "daemon/cni/json_text.hpp"
#include "daemon/limits/subnets.hpp"

namespace natra::cni {

// The configuration's lists, or without any those of runtimeConfig.bandwidth; an empty list is none. Unlike
// rates and bursts, they leave the runtime its limits. Code 999 with upstream's texts.
CniResult<limits::SubnetRules> read_subnets(const Json& configuration);

}  // namespace natra::cni
