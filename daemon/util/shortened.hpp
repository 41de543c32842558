// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace natra {

// For messages about what a caller gave: cut after 80 bytes at most, between characters of UTF-8, and then "...".
inline std::string shortened(std::string_view text) {
    std::size_t most = 80;
    if (text.size() <= most) return std::string(text);
    const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; };
    while (most != 0 && continues(text[most])) --most;
    return std::string(text.substr(0, most)) + "...";
}

}  // namespace natra
