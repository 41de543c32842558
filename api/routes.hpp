// SPDX-License-Identifier: Apache-2.0
// Which paths there are and what may be done with them. Pure.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "api/message.hpp"

namespace natra::api {

enum class Endpoint {
    health,
    metrics,
    openapi,
    status,
    pods,
    pod,
    limits_get,
    limits_patch,
    limits_delete,
    flows,
};

struct Route {
    std::string_view method;
    std::string_view path;  // as in OpenAPI: "/v1/pods/{id}/limits"
    Endpoint endpoint;
    bool writes = false;
    std::span<const std::string_view> query;  // names of parameters; others are errors
};
std::span<const Route> routes();

// What a target asks for. Values are percent-decoded.
struct Match {
    const Route* route = nullptr;
    std::string pod;  // what {id} is, or "namespace/name"; empty for other paths
    std::map<std::string, std::string> query;
};

// The match, or the problem: 404 for an unknown path, 405 with Allow for an unknown method, 400 naming an unknown,
// repeated or malformed parameter. HEAD is answered as GET.
std::variant<Match, Response> find_route(const Request& request);

}  // namespace natra::api
