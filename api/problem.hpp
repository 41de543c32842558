// SPDX-License-Identifier: Apache-2.0
// Errors as RFC 9457 has them: application/problem+json.
#pragma once

#include <string>
#include <string_view>

#include "api/json_object.hpp"
#include "api/message.hpp"
#include "daemon/util/error.hpp"

namespace natra::api {

// "Not Found"; "Unknown" for a status that natrad does not use.
std::string_view reason_phrase(int status);

// {"type": "about:blank", "title": "Not Found", "status": 404, "detail": detail} and `more`'s members.
Response problem(int status, std::string_view detail, const Json& more = Json::object());
// The caller's value is wrong: members "field" and "value" name it.
Response wrong_value(int status, std::string_view field, const Json& value, std::string_view detail);
// An error of natrad's own parts.
Response problem(const Error& error);

// 500 for an exception, which is in the log and no client's business.
Response own_error();

// A document as the body. What is no UTF-8 in it is replaced.
Response json_response(const Json& document);

}  // namespace natra::api
