// SPDX-License-Identifier: Apache-2.0
#include "api/entity_tag.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <tuple>

#include "api/problem.hpp"
#include "api/text.hpp"

namespace natra::api {
namespace {

constexpr std::string_view match_header = "if-match";
constexpr std::string_view none_match_header = "if-none-match";

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

bool Tags::fit(const std::string& tag) const { return any || std::find(tags.begin(), tags.end(), tag) != tags.end(); }

std::variant<Tags, Response> parse_tags(std::string_view header, std::string_view value, Comparison comparison) {
    value = trimmed(value);
    if (value == "*") return Tags{};
    Tags out{.any = false, .tags = {}};
    const auto malformed = [&] {
        return wrong_value(400, header, in_quotes(value), "neither * nor a list of entity tags in quotes");
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
            if (!weak || comparison == Comparison::weak) out.tags.emplace_back(tag);
            rest = trimmed(rest.substr(end + 1));
            if (rest.empty()) break;
            if (!rest.starts_with(',')) return malformed();
        }
        rest = trimmed(rest.substr(1));
    }
    if (empty) return malformed();
    return out;
}

std::string_view Preconditions::failed_by(const std::string& tag) const {
    if (if_match && !if_match->fit(tag)) return match_header;
    if (if_none_match && if_none_match->fit(tag)) return none_match_header;
    return {};
}

std::variant<Preconditions, Response> parse_preconditions(const Request& request) {
    Preconditions out;
    const std::tuple<std::string_view, Comparison, std::optional<Tags>*> headers[] = {
        {match_header, Comparison::strong, &out.if_match}, {none_match_header, Comparison::weak, &out.if_none_match}};
    for (const auto& [name, comparison, into] : headers) {
        const auto given = request.headers.find(std::string(name));
        if (given == request.headers.end()) continue;
        auto parsed = parse_tags(name, given->second, comparison);
        if (auto* wrong = std::get_if<Response>(&parsed)) return std::move(*wrong);
        *into = std::get<Tags>(std::move(parsed));
    }
    return out;
}

}  // namespace natra::api
