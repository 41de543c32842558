// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "daemon/pods/registry.hpp"

namespace natra::pods {

// A sentence for everything on this node that is not as it should be, `troubles` last but for what stops new
// attachments. Core thread only.
std::vector<std::string> degraded(const Registry& registry, const datapath::Engine& engine,
                                  const std::vector<std::string>& troubles);

}  // namespace natra::pods
