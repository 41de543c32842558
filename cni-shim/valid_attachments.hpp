// SPDX-License-Identifier: Apache-2.0
// What a runtime says is still there, when it asks for garbage to be collected.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cni-shim/cni.hpp"

namespace natra::shim {

using ValidAttachments = std::vector<std::pair<std::string, std::string>>;  // container ID, interface

// "cni.dev/valid-attachments", or under its first name "cni.dev/attachments". Absent without the key: nobody
// said what is valid. Empty for null and [], which both mean that nothing is. Code 7 if malformed.
CniResult<std::optional<ValidAttachments>> read_valid_attachments(const Json& document);

}  // namespace natra::shim
