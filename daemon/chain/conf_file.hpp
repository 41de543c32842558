// SPDX-License-Identifier: Apache-2.0
// The files of a CNI configuration folder, as the runtimes see them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "daemon/chain/conflist.hpp"
#include "daemon/util/error.hpp"

namespace natra::chain {

struct ConfFile {
    std::string path;
    Format format = Format::list;
    std::string text;
    Network network;
};

// The file whose network pods get: the first in the order of names that ends in .conf, .conflist or .json and that
// libcni loads. That is CRI-O's rule; containerd has no network while the first cannot be loaded. Nothing if there is
// none, or no folder. An error if natrad cannot tell, for instance because it may not read a file.
Result<std::optional<ConfFile>> conf_in_use(const std::string& directory);

// Where a list that replaces the single plugin at `path` goes: behind no other file of the folder
// that the original comes before.
std::string list_path_for(const std::string& path);
// Where the single plugin is kept meanwhile: a name that no runtime loads.
std::string kept_path_for(const std::string& path);

// Checks that the runtime will find natra: every folder of `directories` that holds the chain's first
// plugin must hold natra too, or every pod's start might fail. Code::unavailable says what is missing.
Result<void> natra_is_beside(const std::string& first_type, const std::vector<std::string>& directories);

}  // namespace natra::chain
