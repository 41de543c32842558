// SPDX-License-Identifier: Apache-2.0
// A pod as a JSON file in natrad's runtime directory: what the kernel cannot hold.
#pragma once

#include <string>
#include <string_view>

#include "daemon/pods/pod.hpp"

namespace natra::pods {

// The live programs (Pod::kernel's instances) are not part of it.
std::string to_json(const Pod& pod);
// Code::invalid_argument naming the field that is missing or wrong, and its value.
Result<Pod> pod_from_json(std::string_view text);

// A request that the shim left in the spool: the D-Bus names of Attach, as JSON.
Result<AttachRequest> request_from_json(std::string_view text);

}  // namespace natra::pods
