// SPDX-License-Identifier: Apache-2.0
// What is said of a wrong value in a configuration.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "daemon/util/error.hpp"

namespace natra::config {

// At most 80 bytes of it.
inline std::string shown(const nlohmann::ordered_json& value) {
    constexpr std::size_t most = 80;
    if (value.is_structured()) return value.is_array() ? "an array" : "an object";
    auto text = value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    return text.size() > most ? text.substr(0, most) + "..." : text;
}

inline Error wrong(const nlohmann::ordered_json& value, std::string_view allowed) {
    return fail(Error::Code::invalid_argument, shown(value), " is not ", allowed);
}

}  // namespace natra::config
