// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "daemon/cni/cni_error.hpp"
#include "daemon/cni/json_text.hpp"

namespace natra::cni {

// The interfaces outside of containers, as an earlier plugin listed them; none where there is no
// list. Code 999 if the list is malformed.
CniResult<std::vector<std::string>> host_interfaces(const Json& result);

// Whether there is a list that is not empty.
bool lists_interfaces(const Json& result);

// The result as it came, every key in its place, under `version`.
std::string print_result(const Json& result, std::string_view version);

}  // namespace natra::cni
