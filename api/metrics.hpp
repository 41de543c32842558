// SPDX-License-Identifier: Apache-2.0
// What Prometheus is told. docs/usage/metrics.md has the list.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "api/http_server.hpp"
#include "daemon/pods/pod.hpp"
#include "daemon/pods/statistics.hpp"

namespace natra::api {

// (route as in OpenAPI, method, status) -> requests answered. All three are from short lists.
using RequestCounts = std::map<std::tuple<std::string, std::string, int>, std::uint64_t>;

struct NodeFigures {
    std::string kernel;
    std::vector<pods::Pod> pods;  // those with series of their own
    std::uint64_t attachments = 0;
    std::map<std::tuple<std::string, std::string, std::string>, std::uint64_t> by_data_path;  // direction, hook, shaper
    std::uint64_t degraded = 0;
    std::uint64_t pool_ready = 0;
    std::uint64_t tamper_events = 0;
    pods::Statistics statistics;
    RequestCounts requests;
    HttpServer::Figures http;
};

std::string metrics_text(const NodeFigures& node);

}  // namespace natra::api
