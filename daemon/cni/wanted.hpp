// SPDX-License-Identifier: Apache-2.0
// All that a plugin's configuration asks of natrad.
#pragma once

#include <string>
#include <vector>

#include "daemon/cni/cni_error.hpp"
#include "daemon/cni/json_text.hpp"
#include "daemon/cni/policy.hpp"
#include "daemon/limits/annotations.hpp"
#include "daemon/limits/limits.hpp"
#include "daemon/limits/subnets.hpp"

namespace natra::cni {

struct Wanted {
    Policy policy;
    limits::Limits limits;
    limits::SubnetRules subnets;
    limits::Annotations annotations;
    std::vector<std::string> problems;  // what cannot be an annotation, and was left out
    // True if there may be a limit. natrad alone knows what annotations mean.
    [[nodiscard]] bool concerns_natrad() const { return limits.any() || !annotations.empty(); }
};

// The errors of read_limits(), read_policy() and read_subnets().
CniResult<Wanted> read_wanted(const Json& configuration);

}  // namespace natra::cni
