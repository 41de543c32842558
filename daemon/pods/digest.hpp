// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace natra::pods {

// SHA-512 as 128 lower-case hexadecimal digits. Throws std::runtime_error if the library is unusable.
std::string sha512_hex(std::string_view data);

}  // namespace natra::pods
