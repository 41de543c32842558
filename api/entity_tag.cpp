// SPDX-License-Identifier: Apache-2.0
#include "api/entity_tag.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>

#include "api/problem.hpp"
#include "api/text.hpp"

namespace natra::api {
namespace {

bool is_tag_byte(char c) { return !is_ascii(c) || (c > 0x20 && c != '"' && c != 0x7f); }

}  // namespace

// FNV-1a. Nobody gains by a collision: who may write may also write without If-Match.
std::string entity_tag(std::string_view content) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : content) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    char text[19];
    std::snprintf(text, sizeof text, "\"%016llx\"", static_cast<unsigned long long>(hash));
    return text;
}

bool IfMatch::allows(const std::string& tag) const {
    return any || std::find(tags.begin(), tags.end(), tag) != tags.end();
}

std::variant<IfMatch, Response> parse_if_match(std::string_view value) {
    value = trimmed(value);
    if (value == "*") return IfMatch{};
    IfMatch out{.any = false, .tags = {}};
    const auto malformed = [&] {
        return wrong_value(400, "if-match", in_quotes(value), "neither * nor a list of entity tags in quotes");
    };
    bool empty = true;
    for (auto rest = value;;) {
        // Lists may have elements with nothing in them.
        if (rest.empty()) break;
        if (!rest.starts_with(',')) {
            const bool weak = rest.starts_with("W/");
            if (weak) rest.remove_prefix(2);
            const auto end = rest.starts_with('"') ? rest.find('"', 1) : std::string_view::npos;
            if (end == std::string_view::npos) return malformed();
            const auto tag = rest.substr(0, end + 1);
            if (!std::all_of(tag.begin() + 1, tag.end() - 1, is_tag_byte)) return malformed();
            empty = false;
            // If-Match compares strongly: a weak tag never matches.
            if (!weak) out.tags.emplace_back(tag);
            rest = trimmed(rest.substr(end + 1));
            if (rest.empty()) break;
            if (!rest.starts_with(',')) return malformed();
        }
        rest = trimmed(rest.substr(1));
    }
    if (empty) return malformed();
    return out;
}

}  // namespace natra::api
