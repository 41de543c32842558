// SPDX-License-Identifier: Apache-2.0
#include "daemon/cni/json_text.hpp"

#include <algorithm>

namespace natra::cni {
namespace {

using Code = Error::Code;

constexpr std::size_t max_described_bytes = 80;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// "[json.exception.parse_error.101] parse error at ..." without what only the library's users need.
std::string_view plain_text(std::string_view what) {
    const auto end = what.starts_with('[') ? what.find("] ") : std::string_view::npos;
    return end == std::string_view::npos ? what : what.substr(end + 2);
}

}  // namespace

Result<Json> parse_json(std::string_view text) {
    if (text.size() > max_json_bytes) return fail(Code::invalid_argument, "larger than ", max_json_bytes, " bytes");
    if (text.find_first_not_of(" \t\r\n") == std::string_view::npos)
        return fail(Code::invalid_argument, "unexpected end of JSON input");
    // The parser would take it for the end.
    if (text.find('\0') != std::string_view::npos) return fail(Code::invalid_argument, "parse error: a NUL byte");
    bool too_deep = false;
    // Parsing does not recurse, printing does: a deep value must not get that far.
    const auto keep = [&too_deep](int depth, Json::parse_event_t, Json&) {
        too_deep = too_deep || depth > max_json_depth;
        return !too_deep;
    };
    try {
        auto value = Json::parse(text.begin(), text.end(), keep);
        if (too_deep) return fail(Code::invalid_argument, "nested deeper than ", max_json_depth, " levels");
        return value;
    } catch (const Json::exception& e) {
        return fail(Code::invalid_argument, plain_text(e.what()));
    }
}

std::string print(const Json& value) {
    // Messages quote what came from outside, which need not be UTF-8.
    return value.dump(4, ' ', false, Json::error_handler_t::replace) + "\n";
}

bool key_matches(std::string_view key, std::string_view field) {
    return std::equal(key.begin(), key.end(), field.begin(), field.end(),
                      [](char a, char b) { return lower(a) == lower(b); });
}

const Json* find_key(const Json& object, std::string_view field) {
    const Json* found = nullptr;
    for (const auto& [key, value] : object.items())
        if (key_matches(key, field) && !value.is_null()) found = &value;
    return found;
}

std::string describe(const Json& value) {
    if (value.is_structured()) return value.is_array() ? "an array" : "an object";
    auto text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (text.size() > max_described_bytes) text = text.substr(0, max_described_bytes) + "...";
    return text;
}

}  // namespace natra::cni
