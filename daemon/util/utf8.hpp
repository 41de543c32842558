// SPDX-License-Identifier: Apache-2.0
// Texts from outside, such as names of interfaces, are bytes; D-Bus and JSON take UTF-8 only.
#pragma once

#include <string>
#include <string_view>

namespace natra {

// As Unicode defines it: neither surrogates nor longer forms than needed.
bool is_utf8(std::string_view text);

// The same text if it is UTF-8. Otherwise every byte that belongs to no character becomes U+FFFD, as in Go.
std::string as_utf8(std::string_view text);

}  // namespace natra
