// SPDX-License-Identifier: Apache-2.0
// Pieces of text as HTTP has them. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace natra::api {

// Whatever the sign of char is here.
inline bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }
inline bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

std::string lower_case(std::string_view text);  // ASCII
// Without blanks and tabs at both ends.
std::string_view trimmed(std::string_view text);
// "a,b" -> {"a", "b"}; "" -> {""}.
std::vector<std::string_view> split(std::string_view text, char separator);
// Percent-decoding; absent for a malformed escape, for bytes that are no UTF-8 and for control characters.
std::optional<std::string> decoded(std::string_view text);
// For messages: in quotes, cut after 80 bytes, with '?' for what is not printable ASCII.
std::string in_quotes(std::string_view text);

}  // namespace natra::api
