// SPDX-License-Identifier: Apache-2.0
// JSON by the rules of Go's encoding/json, where those differ from nlohmann's.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "daemon/util/error.hpp"

namespace natra::chain {

// Keeps the order of keys.
using Json = nlohmann::ordered_json;

// One value. Bytes that are not UTF-8 and halves of surrogate pairs become U+FFFD.
// Code::invalid_argument for what Go refuses, Code::unsupported for what only natra does: deep nesting.
Result<Json> parse_as_go(std::string_view text);

// Does Go take `key` for the field of a struct? It ignores the case of ASCII letters.
bool names_field(std::string_view key, std::string_view field);

// A check of one value: empty if Go takes it for the field, else what Go expects.
using Check = std::function<std::string(const Json&)>;
std::string expect_text(const Json& value);
std::string expect_flag(const Json& value);
Check expect_list_of(Check element);
Check expect_map_of(Check element);
struct Field {
    std::string_view name;
    Check check;
};
// A struct: known fields are checked in every spelling, others may be anything.
Check expect_struct(std::vector<Field> fields);

}  // namespace natra::chain
