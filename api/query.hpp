// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>

#include "api/message.hpp"

namespace natra::api {

using Query = std::map<std::string, std::string>;

// Empty if absent.
std::string text_of(const Query& query, const std::string& name);
// An integer within bounds, `absent` without the parameter; else the problem that names it.
std::variant<std::uint64_t, Response> number_of(const Query& query, const std::string& name, std::uint64_t least,
                                                std::uint64_t most, std::uint64_t absent);

}  // namespace natra::api
