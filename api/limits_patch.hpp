// SPDX-License-Identifier: Apache-2.0
// A JSON merge patch (RFC 7396) of a pod's limits. Pure.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "api/json_object.hpp"
#include "api/message.hpp"
#include "daemon/pods/limits_edit.hpp"

namespace natra::api {

// The JSON object in the body; a problem, 400, for what is none, that names a field given twice.
std::variant<Json, Response> parse_limits_patch(std::string_view body);

// {"ingress": {"rate": "10M", "burst": 80000}, "egress": null}: rates in bit/s, bursts in bits, as integers or
// Kubernetes quantities; null ends the override. An empty patch changes nothing. now: what limits_json() makes of the
// pod. Its other members may be there if they are as they are in `now`; in a direction that has one of them, a rate and
// a burst that are those of `now` are no change. The problem, 422, names field and value: of unknown fields, wrong
// values and changed members.
std::variant<pods::LimitsEdit, Response> read_limits_patch(const Json& patch, const Json& now);

// Nothing if the header's value is a media type for such a patch; else the problem, 415.
std::variant<std::monostate, Response> check_patch_type(const std::string& content_type);

// An error of pods::validate() in the words of this interface: it names "IngressRate", a patch "ingress.rate".
Response wrong_limits(const Error& error);

}  // namespace natra::api
