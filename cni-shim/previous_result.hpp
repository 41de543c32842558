// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cni-shim/cni_error.hpp"
#include "cni-shim/json_text.hpp"

namespace natra::shim {

// The interfaces outside of containers, as an earlier plugin listed them. Code 999 if the list
// is malformed, or empty ("no interfaces provided").
CniResult<std::vector<std::string>> host_interfaces(const Json& result);

// The result as it came, every key in its place, under `version`.
std::string print_result(const Json& result, std::string_view version);

}  // namespace natra::shim
