// SPDX-License-Identifier: Apache-2.0
// Attachments as JSON; openapi.json has the words for every member.
#pragma once

#include <optional>

#include "api/problem.hpp"
#include "daemon/pods/registry.hpp"

namespace natra::api {

// What is told of an attachment, away from the core thread.
struct PodFacts {
    PodFacts(const pods::Registry& registry, const pods::Pod& of);
    pods::Pod pod;
    std::string ingress_reason;
    std::string egress_reason;
};

Json pod_json(const PodFacts& facts);
Json limits_json(const pods::Pod& pod);
// Of one direction, or of both; top: at most so many flows of each.
Json flows_json(const pods::Pod& pod, std::optional<datapath::Direction> direction, std::size_t top);

// CLOCK_REALTIME as RFC 3339 in UTC with microseconds.
std::string rfc3339(std::uint64_t usec);

}  // namespace natra::api
