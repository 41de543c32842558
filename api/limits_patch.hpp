// SPDX-License-Identifier: Apache-2.0
// A JSON merge patch (RFC 7396) of a pod's limits. Pure.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "api/message.hpp"
#include "daemon/pods/limits_edit.hpp"

namespace natra::api {

// {"ingress": {"rate": "10M", "burst": 80000}, "egress": null}: rates in bit/s, bursts in bits, as integers or
// Kubernetes quantities; null ends the override. An empty patch changes nothing. The problem names field and value:
// 400 for what is no JSON object, 422 for unknown fields and wrong values.
std::variant<pods::LimitsEdit, Response> parse_limits_patch(std::string_view body);

// Nothing if the header's value is a media type for such a patch; else the problem, 415.
std::variant<std::monostate, Response> check_patch_type(const std::string& content_type);

// An error of pods::validate() in the words of this interface: it names "IngressRate", a patch "ingress.rate".
Response wrong_limits(const Error& error);

}  // namespace natra::api
