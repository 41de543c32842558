// SPDX-License-Identifier: Apache-2.0
// libcni's cache: one file for each interface that a runtime has had a chain of plugins make. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "daemon/cni/json_text.hpp"
#include "daemon/cni/request.hpp"

namespace natra::cni {

// NOLINTNEXTLINE(bugprone-exception-escape): Json is moved without exceptions
struct CachedResult {
    Identity identity;          // netns_path is empty where neither the entry nor its result names it
    std::string mac;            // of the interface inside the container; empty where the result does not say
    std::vector<Json> plugins;  // their configurations as the runtime gave them to the plugins
    Json capability_arguments;  // an object: what the runtime offered to plugins, whether they took it or not
    Json result;                // an object
};

// Of the form "cniCacheV1". Code::invalid_argument naming the field that is missing or wrong.
Result<CachedResult> read_cached_result(std::string_view text);

// Who has limited the pod so far.
enum class LimitedBy : std::uint8_t {
    nobody,  // no plugin of its chain took its limits
    stock,   // a plugin `bandwidth`, the stock one or natra under its name
    natra,
};

struct RunningPod {
    Request request;
    LimitedBy by = LimitedBy::nobody;
    std::string mac;
    std::vector<std::string> problems;  // what cannot be an annotation, and was left out
    [[nodiscard]] bool limited() const { return request.limits.any() || !request.annotations.empty(); }
};

// What the chain's natra, else its bandwidth, would ask of natrad now; for a chain with neither, what natra would
// ask if it were the last of it. The errors of read_wanted() and host_interfaces().
Result<RunningPod> running_pod(const CachedResult& cached);

}  // namespace natra::cni
