// SPDX-License-Identifier: Apache-2.0
#include "daemon/cni/base64.hpp"

#include <cstddef>
#include <cstdint>

namespace natra::cni {

std::optional<std::string> decode_base64(std::string_view text) {
    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    constexpr std::size_t quantum = 4;
    if (text.size() % quantum != 0) return std::nullopt;
    std::size_t padding = 0;
    while (padding < 2 && text.ends_with('=')) {
        text.remove_suffix(1);
        ++padding;
    }
    std::string out;
    std::uint32_t bits = 0;
    unsigned held = 0;
    for (const char c : text) {
        const auto value = alphabet.find(c);
        if (value == std::string_view::npos) return std::nullopt;
        bits = bits << 6 | static_cast<std::uint32_t>(value);
        held += 6;
        if (held < 8) continue;
        held -= 8;
        out += static_cast<char>(bits >> held & 0xff);
    }
    // A quantum of one character holds no byte, and what is left over must be zeros.
    if (held >= 6 || (bits & ((1U << held) - 1)) != 0) return std::nullopt;
    return out;
}

}  // namespace natra::cni
