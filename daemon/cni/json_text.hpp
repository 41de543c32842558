// SPDX-License-Identifier: Apache-2.0
// JSON as CNI plugins meet it: from outside, bounded, and with Go's rules for keys.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "daemon/util/error.hpp"

namespace natra::cni {

// Keeps the order of keys.
using Json = nlohmann::ordered_json;

// Larger and deeper documents are errors: no network configuration comes near.
inline constexpr std::size_t max_json_bytes = std::size_t{1} << 20;
inline constexpr int max_json_depth = 64;

// One value and nothing after it. A repeated key counts with its last value, as in Go.
Result<Json> parse_json(std::string_view text);

// Four spaces of indentation and a newline at the end.
std::string print(const Json& value);

// Go's encoding/json matches keys without regard to the case of ASCII letters.
bool key_matches(std::string_view key, std::string_view field);

// The last value of a key of an object in any of its spellings; null leaves an earlier one, as in Go. Null if there
// is none.
const Json* find_key(const Json& object, std::string_view field);

// A value for an error message: the value of scalars, the kind of everything else.
std::string describe(const Json& value);

}  // namespace natra::cni
