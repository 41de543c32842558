// SPDX-License-Identifier: Apache-2.0
// Names of files that are written and not renamed to their own name yet. A writer that is killed leaves one.
#pragma once

#include <chrono>
#include <string>

namespace natra::files {

// In the folder of `path`, hidden: "/run/x/a.json" -> "/run/x/.a.json.natra-XXXXXX", for mkstemp().
std::string staged_template(const std::string& path);

// Removes what such names have in a folder, if nothing was written to it for so long: for 0 s, the caller has to know
// that no other process writes there. Files of other names, links and folders stay. An absent folder is empty; what
// cannot be removed is logged.
void remove_staged(const std::string& directory, std::chrono::seconds unchanged);

}  // namespace natra::files
