// SPDX-License-Identifier: Apache-2.0
// Chains of plugins in which two plugins limit the same pods.
#pragma once

#include <string>
#include <vector>

#include "daemon/chain/conf_file.hpp"

namespace natra::chain {

// A sentence for each plugin that is one too many, with its place, what comes of it and what to do. binary_directories:
// where the runtime may look for plugins; "bandwidth" in one of them may be a link to natra. Where it is in none,
// nothing is said of it.
std::vector<std::string> conflicts(const ConfFile& file, const std::vector<std::string>& binary_directories);

}  // namespace natra::chain
