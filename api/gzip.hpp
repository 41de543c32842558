// SPDX-License-Identifier: Apache-2.0
// Content-Encoding: gzip, by zlib. Pure.
#pragma once

#include <string>
#include <string_view>

#include "api/message.hpp"

namespace natra::api {

// True if an Accept-Encoding header (RFC 9110, section 12.5.3) takes gzip: named, or meant by "*", and not with q=0.
bool accepts_gzip(std::string_view accept_encoding);

// A successful answer's body in gzip, with Content-Encoding. Short bodies stay as they are: nothing is won.
Response gzipped(Response response);

}  // namespace natra::api
