// SPDX-License-Identifier: Apache-2.0
#include "daemon/chain/go_json.hpp"

#include <algorithm>
#include <charconv>

#include "daemon/util/utf8.hpp"

namespace natra::chain {
namespace {

using Code = Error::Code;

constexpr int max_depth = 500;  // printing recurses; Go's own bound is 10000
constexpr std::string_view replacement = "\\ufffd";

// The code unit of an escape such as \ud800 at `at`; -1 if there is none.
int code_unit(std::string_view text, std::size_t at) {
    if (at + 6 > text.size() || text[at] != '\\' || text[at + 1] != 'u') return -1;
    int unit = 0;
    const char* const end = text.data() + at + 6;
    const auto r = std::from_chars(text.data() + at + 2, end, unit, 16);
    return r.ec == std::errc() && r.ptr == end ? unit : -1;
}

bool is_high(int unit) { return unit >= 0xd800 && unit <= 0xdbff; }
bool is_surrogate(int unit) { return unit >= 0xd800 && unit <= 0xdfff; }

// As Go reads halves of pairs. Backslashes outside texts are errors to both parsers.
std::string without_halves(std::string_view text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        std::size_t length = text[at] == '\\' ? 2 : 1;
        if (const int unit = code_unit(text, at); unit >= 0) {
            length = 6;
            const int next = code_unit(text, at + 6);
            const bool pair = is_high(unit) && is_surrogate(next) && !is_high(next);
            if (is_surrogate(unit) && !pair) {
                out += replacement;
                at += length;
                continue;
            }
            if (pair) length = 12;
        }
        out += text.substr(at, length);
        at += length;
    }
    return out;
}

}  // namespace

Result<Json> parse_as_go(std::string_view text) {
    // nlohmann's parser skips the one and ends at the other.
    if (text.starts_with("\xef\xbb\xbf")) return fail(Code::invalid_argument, "a byte order mark");
    if (text.find('\0') != std::string_view::npos) return fail(Code::invalid_argument, "a NUL byte");
    bool too_deep = false;
    const auto keep = [&too_deep](int depth, Json::parse_event_t, Json&) {
        too_deep = too_deep || depth > max_depth;
        return !too_deep;
    };
    try {
        const auto readable = without_halves(as_utf8(text));
        auto value = Json::parse(readable, keep);
        if (too_deep) return fail(Code::unsupported, "nested deeper than ", max_depth, " levels");
        return value;
    } catch (const Json::exception& e) {
        return fail(Code::invalid_argument, e.what());
    }
}

bool names_field(std::string_view key, std::string_view field) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    return std::equal(key.begin(), key.end(), field.begin(), field.end(),
                      [&](char a, char b) { return lower(a) == lower(b); });
}

// Go leaves a field as it is where the value is null.
std::string expect_text(const Json& value) { return value.is_null() || value.is_string() ? "" : "a text"; }
std::string expect_flag(const Json& value) { return value.is_null() || value.is_boolean() ? "" : "true or false"; }

Check expect_list_of(Check element) {
    return [element = std::move(element)](const Json& value) -> std::string {
        if (value.is_null()) return "";
        if (!value.is_array()) return "a list";
        for (const auto& each : value)
            if (auto expected = element(each); !expected.empty()) return concat("each to be ", expected);
        return "";
    };
}

Check expect_map_of(Check element) {
    return [element = std::move(element)](const Json& value) -> std::string {
        if (value.is_null()) return "";
        if (!value.is_object()) return "an object";
        for (const auto& [key, each] : value.items())
            if (auto expected = element(each); !expected.empty()) return concat(key, " to be ", expected);
        return "";
    };
}

Check expect_struct(std::vector<Field> fields) {
    return [fields = std::move(fields)](const Json& value) -> std::string {
        if (value.is_null()) return "";
        if (!value.is_object()) return "an object";
        for (const auto& [key, each] : value.items())
            for (const auto& field : fields) {
                if (!names_field(key, field.name)) continue;
                if (auto expected = field.check(each); !expected.empty()) return concat(key, " to be ", expected);
            }
        return "";
    };
}

}  // namespace natra::chain
