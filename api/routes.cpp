// SPDX-License-Identifier: Apache-2.0
#include "api/routes.hpp"

#include <algorithm>
#include <vector>

#include "api/problem.hpp"
#include "api/text.hpp"

namespace natra::api {
namespace {

constexpr std::string_view list_query[] = {"namespace", "name", "interface", "network", "limit", "continue"};
constexpr std::string_view pod_query[] = {"interface"};
constexpr std::string_view flows_query[] = {"interface", "direction", "top"};

// A pod is named by one segment or, as "namespace/name", by two. Where both fit, the earlier route counts:
// ".../shop/limits" are the limits of "shop".
constexpr Route table[] = {
    {"GET", "/healthz", Endpoint::health, false, {}},
    {"GET", "/metrics", Endpoint::metrics, false, {}},
    {"GET", "/openapi.json", Endpoint::openapi, false, {}},
    {"GET", "/v1/status", Endpoint::status, false, {}},
    {"GET", "/v1/pods", Endpoint::pods, false, list_query},
    {"GET", "/v1/pods/{id}", Endpoint::pod, false, pod_query},
    {"GET", "/v1/pods/{id}/limits", Endpoint::limits_get, false, pod_query},
    {"PATCH", "/v1/pods/{id}/limits", Endpoint::limits_patch, true, pod_query},
    {"DELETE", "/v1/pods/{id}/limits", Endpoint::limits_delete, true, pod_query},
    {"GET", "/v1/pods/{id}/flows", Endpoint::flows, false, flows_query},
    {"GET", "/v1/pods/{namespace}/{name}", Endpoint::pod, false, pod_query},
    {"GET", "/v1/pods/{namespace}/{name}/limits", Endpoint::limits_get, false, pod_query},
    {"PATCH", "/v1/pods/{namespace}/{name}/limits", Endpoint::limits_patch, true, pod_query},
    {"DELETE", "/v1/pods/{namespace}/{name}/limits", Endpoint::limits_delete, true, pod_query},
    {"GET", "/v1/pods/{namespace}/{name}/flows", Endpoint::flows, false, flows_query},
};

using Segments = std::vector<std::string_view>;

bool is_parameter(std::string_view segment) { return segment.starts_with('{'); }

bool fits(const Segments& pattern, const Segments& path) {
    return std::equal(pattern.begin(), pattern.end(), path.begin(), path.end(),
                      [](auto wanted, auto found) { return is_parameter(wanted) ? !found.empty() : wanted == found; });
}

// "a" of {id}, or "a/b" of {namespace}/{name}.
std::optional<std::string> pod_of(const Segments& pattern, const Segments& path) {
    std::string out;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (!is_parameter(pattern[i])) continue;
        const auto text = decoded(path[i]);
        if (!text) return std::nullopt;
        out += (out.empty() ? "" : "/") + *text;
    }
    return out;
}

bool answers(const Route& route, std::string_view method) {
    return route.method == method || (route.method == "GET" && method == "HEAD");
}

std::optional<Response> take_query(std::string_view text, Match& match) {
    if (text.empty()) return std::nullopt;
    for (const auto part : split(text, '&')) {
        if (part.empty()) continue;
        const auto equals = part.find('=');
        const auto name = decoded(part.substr(0, equals));
        const auto value = decoded(equals == std::string_view::npos ? "" : part.substr(equals + 1));
        if (!name || !value)
            return wrong_value(400, "query", in_quotes(part), "not percent-encoded UTF-8 without control characters");
        const auto& known = match.route->query;
        if (std::find(known.begin(), known.end(), *name) == known.end()) {
            std::string names;
            for (const auto& each : known) names += concat(names.empty() ? "" : ", ", each);
            return wrong_value(400, *name, *value,
                               known.empty() ? std::string("unknown parameter; none is known here")
                                             : concat("unknown parameter; known here are ", names));
        }
        if (!match.query.emplace(*name, *value).second)
            return wrong_value(400, *name, *value, "the parameter is given twice");
    }
    return std::nullopt;
}

}  // namespace

std::span<const Route> routes() { return table; }

std::variant<Match, Response> find_route(const Request& request) {
    const std::string_view target = request.target;
    const auto question = target.find('?');
    const auto path = target.substr(0, question);
    const auto segments = split(path, '/');
    std::string_view pattern;  // of the first route that fits, whatever its method
    std::string allowed;
    for (const auto& route : table) {
        const auto wanted = split(route.path, '/');
        if (!fits(wanted, segments) || (!pattern.empty() && pattern != route.path)) continue;
        pattern = route.path;
        if (!answers(route, request.method)) {
            allowed += concat(allowed.empty() ? "" : ", ", route.method, route.method == "GET" ? ", HEAD" : "");
            continue;
        }
        const auto pod = pod_of(wanted, segments);
        if (!pod)
            return wrong_value(400, "path", in_quotes(path), "not percent-encoded UTF-8 without control characters");
        Match match{.route = &route, .pod = *pod, .query = {}};
        if (question != std::string_view::npos)
            if (auto wrong = take_query(target.substr(question + 1), match)) return *std::move(wrong);
        return match;
    }
    if (pattern.empty()) return problem(404, concat("there is nothing at ", in_quotes(path), "; see /openapi.json"));
    auto out = problem(405, concat("here only ", allowed));
    out.headers.emplace_back("Allow", allowed);
    return out;
}

}  // namespace natra::api
