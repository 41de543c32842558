// SPDX-License-Identifier: Apache-2.0
// The limits in a network configuration: the four static keys and runtimeConfig.bandwidth.
#pragma once

#include "daemon/cni/cni_error.hpp"
#include "daemon/cni/json_text.hpp"
#include "daemon/limits/limits.hpp"

namespace natra::cni {

// A static key decides by being there, whatever its value: runtimeConfig counts only if there is none.
// A direction that has a static key has Source::conf, at a rate of 0, too; a 0 of the runtime's is no word.
// Values must be non-negative integers below 2^64; null is 0, as Go reads it.
// Errors have upstream's texts and name key and value.
CniResult<limits::Limits> read_limits(const Json& configuration);

// Is there a static key, whatever its value?
bool has_static_limits(const Json& configuration);

}  // namespace natra::cni
