// SPDX-License-Identifier: Apache-2.0
// From files and environment to a Configuration.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "daemon/config/configuration.hpp"

namespace natra::config {

inline constexpr const char* default_file = "/etc/natra/natrad.json";

struct Sources {
    // The drop-ins are the files *.json, in the order of their names, in the folder beside it that has its
    // name with ".d" for ".json".
    std::string file = default_file;
    bool file_required = false;  // an absent main file is an error
    std::function<const char*(const char* name)> variable = ::getenv;
};
// From the environment: NATRA_CONFIG names another main file.
Sources sources_from_environment();

struct Loaded {
    Configuration configuration;
    std::map<std::string, std::string> origins;  // key -> file or variable that set it last
    std::vector<std::string> unknown;            // a sentence for each key that natrad does not know
    std::vector<std::string> errors;             // with any of these the configuration is not to be used
};

// Later files override earlier ones key by key, the environment overrides them all; null in a file means
// the default. Every value is checked, those that are overridden, too. Never fails: see Loaded::errors.
Loaded load(const Sources& sources);

// The keys whose values differ between the two and that only a restart puts in force.
std::vector<std::string> needing_restart(const Configuration& running, const Configuration& wanted);

// All values with their origins, one a line: `shaper = "htb" (/etc/natra/natrad.json)`.
std::string describe(const Loaded& loaded);

}  // namespace natra::config
