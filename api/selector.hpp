// SPDX-License-Identifier: Apache-2.0
// Which attachment a path means. Pure.
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "api/message.hpp"
#include "daemon/pods/pod.hpp"

namespace natra::api {

// By the attachment's own id, the container ID, "namespace/name", or the beginning of a container ID; the first of
// these that fits anything counts. interface: of this name only, unless empty.
// 404, or 409 with the members "candidates" where several fit.
std::variant<const pods::Pod*, Response> select(const std::map<std::string, pods::Pod>& pods, const std::string& name,
                                                const std::string& interface);

}  // namespace natra::api
