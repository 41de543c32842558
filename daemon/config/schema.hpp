// SPDX-License-Identifier: Apache-2.0
// Every key that a configuration can have: where it is in the files, how it is
// read, shown, and whether a reload puts it in force.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

#include "daemon/config/configuration.hpp"

namespace natra::config {

using Json = nlohmann::ordered_json;

struct Key {
    const char* path;      // "limits.maxBurst"
    const char* variable;  // of the environment; null if there is none
    bool live;             // a reload puts it in force; else a restart does
    // Code::invalid_argument whose text is the value and what is allowed: `"x" is none of auto, on, off`.
    Result<void> (*read)(const Json& value, Configuration& into);
    Json (*show)(const Configuration& from);
};

// In the order in which they are shown.
std::span<const Key> keys();
const Key* find_key(std::string_view path);
// Whether keys lie below this path.
bool is_group(std::string_view path);

// Contradictions between keys; Code::invalid_argument with the paths of both.
Result<void> validate(const Configuration& configuration);

}  // namespace natra::config
