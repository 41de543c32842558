// SPDX-License-Identifier: Apache-2.0
// Versions of the CNI specification, as libcni reads them.
#pragma once

#include <array>
#include <charconv>
#include <string_view>

#include "daemon/util/error.hpp"

namespace natra::chain {

using CniVersion = std::array<int, 3>;

// The highest that libcni 1.3 knows: it leaves out higher ones among `cniVersions`.
inline constexpr CniVersion libcni_version = {1, 1, 0};

// "1", "1.0" and "1.0.0" are the same, an empty text is 0.1.0.
inline Result<CniVersion> parse_cni_version(std::string_view text) {
    CniVersion out{0, 0, 0};
    if (text.empty()) return CniVersion{0, 1, 0};
    const auto bad = fail(Error::Code::invalid_argument, "cniVersion: \"", text, "\" is not a version");
    std::string_view rest = text;
    for (std::size_t part = 0;; ++part) {
        if (part == out.size()) return bad;
        auto number = rest.substr(0, rest.find('.'));
        const bool last = number.size() == rest.size();
        rest.remove_prefix(last ? rest.size() : number.size() + 1);
        if (number.starts_with('+') && !number.starts_with("+-")) number.remove_prefix(1);
        const char* const end = number.data() + number.size();
        const auto r = std::from_chars(number.data(), end, out[part]);
        if (r.ec != std::errc() || r.ptr != end) return bad;
        if (last) return out;
    }
}

}  // namespace natra::chain
