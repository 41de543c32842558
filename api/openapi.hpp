// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace natra::api {

// openapi.json, byte by byte.
extern const std::string_view openapi;

}  // namespace natra::api
