// SPDX-License-Identifier: Apache-2.0
#include "daemon/util/utf8.hpp"

#include <algorithm>

namespace natra {
namespace {

constexpr std::string_view replacement = "\xef\xbf\xbd";

unsigned at(std::string_view text, std::size_t index) {
    return index < text.size() ? static_cast<unsigned char>(text[index]) : 0;
}

bool in(unsigned byte, unsigned least, unsigned most) { return byte >= least && byte <= most; }

// Table 3-7 of the Unicode standard: the bytes of the character that `text` begins with; 0 if it begins with none.
std::size_t character_length(std::string_view text) {
    const unsigned first = at(text, 0);
    if (first < 0x80) return 1;
    if (!in(first, 0xc2, 0xf4)) return 0;
    const std::size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    const unsigned least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const unsigned most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (!in(at(text, 1), least, most)) return 0;
    for (std::size_t i = 2; i < length; ++i)
        if (!in(at(text, i), 0x80, 0xbf)) return 0;
    return length;
}

}  // namespace

bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const auto length = character_length(text);
        if (length == 0) return false;
        text.remove_prefix(length);
    }
    return true;
}

std::string as_utf8(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const auto length = character_length(text);
        out += length == 0 ? replacement : text.substr(0, length);
        text.remove_prefix(std::max<std::size_t>(length, 1));
    }
    return out;
}

}  // namespace natra
