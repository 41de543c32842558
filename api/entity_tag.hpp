// SPDX-License-Identifier: Apache-2.0
// ETag and If-Match (RFC 9110). Pure.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api/message.hpp"

namespace natra::api {

// A strong tag for this content, with its quotes.
std::string entity_tag(std::string_view content);

// What an If-Match allows.
struct IfMatch {
    bool any = true;                // no such header, or "*": whatever there is
    std::vector<std::string> tags;  // strong ones, with their quotes
    [[nodiscard]] bool allows(const std::string& tag) const;
};
// The value of a header that is there; 400 for what is no list of tags, and for one without any.
std::variant<IfMatch, Response> parse_if_match(std::string_view value);

}  // namespace natra::api
