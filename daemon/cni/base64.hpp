// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace natra::cni {

// Go's encoding of bytes in JSON (RFC 4648, section 4, with padding). Absent if the text is not that.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace natra::cni
