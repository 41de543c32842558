// SPDX-License-Identifier: Apache-2.0
// ETag, If-Match and If-None-Match (RFC 9110). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api/message.hpp"

namespace natra::api {

// A strong tag for this content, with its quotes.
std::string entity_tag(std::string_view content);

// What an If-Match or an If-None-Match names.
struct Tags {
    bool any = true;                // "*": whatever there is
    std::vector<std::string> tags;  // with their quotes
    [[nodiscard]] bool fit(const std::string& tag) const;
};
// If-Match compares strongly: a weak tag never fits. If-None-Match compares weakly.
enum class Comparison { strong, weak };
// The value of a header that is there; 400 for what is no list of tags, and for one without any.
std::variant<Tags, Response> parse_tags(std::string_view header, std::string_view value, Comparison comparison);

// What a request's If-Match and If-None-Match ask for.
struct Preconditions {
    std::optional<Tags> if_match;
    std::optional<Tags> if_none_match;
    // The header that this tag does not satisfy; empty if there is none.
    [[nodiscard]] std::string_view failed_by(const std::string& tag) const;
};
std::variant<Preconditions, Response> parse_preconditions(const Request& request);

}  // namespace natra::api
