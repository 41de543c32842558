// SPDX-License-Identifier: Apache-2.0
#include "api/query.hpp"

#include <charconv>

#include "api/problem.hpp"

namespace natra::api {

std::string text_of(const Query& query, const std::string& name) {
    const auto found = query.find(name);
    return found == query.end() ? std::string() : found->second;
}

std::variant<std::uint64_t, Response> number_of(const Query& query, const std::string& name, std::uint64_t least,
                                                std::uint64_t most, std::uint64_t absent) {
    const auto found = query.find(name);
    if (found == query.end()) return absent;
    const auto& text = found->second;
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < least || value > most)
        return wrong_value(400, name, text, concat("not an integer from ", least, " to ", most));
    return value;
}

}  // namespace natra::api
