// SPDX-License-Identifier: Apache-2.0
// Pods that ran before natrad: found in the runtimes' caches of results, and limited without a restart. Core thread
// only.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "daemon/cni/cached_result.hpp"
#include "daemon/pods/registry.hpp"
#include "daemon/util/log.hpp"

namespace natra::pods {

struct AdoptionSettings {
    enum class Which : std::uint8_t {
        none,
        limited,  // those that a plugin of their chain, the stock one or natra, has limited
        all,      // also those whose limits no plugin of their chain took
    };
    Which which = Which::limited;
    // libcni's; those that exist are read. multus keeps its own.
    std::vector<std::string> directories = {"/var/lib/cni/results", "/var/lib/cni/multus/results"};
    friend bool operator==(const AdoptionSettings&, const AdoptionSettings&) = default;
};
std::string_view to_string(AdoptionSettings::Which which);  // "none", "limited", "all"
std::optional<AdoptionSettings::Which> which_from(std::string_view name);

// Whether such a pod is natra's to limit, by what its chain has done so far.
bool is_to_be_adopted(const cni::RunningPod& pod, AdoptionSettings::Which which);

// What natrad makes of it; Code::invalid_argument as for a request in the spool.
Result<AttachRequest> request_for(const cni::RunningPod& pod);

class RunningPods {
public:
    RunningPods(AdoptionSettings settings, EventLoop& core, Registry& registry)
        : settings_(std::move(settings)), core_(core), registry_(registry) {}

    // Once, when the registry knows what an earlier natrad left and what waits in the spool. Returns at once: one
    // entry after the other is looked at, and other calls come between.
    void start();
    // No further entry is looked at; one that is being taken over is finished.
    void stop() { paths_.clear(); }

private:
    void next();
    void look_at(const std::string& path);
    void attach(const std::string& path, AttachRequest request);
    // fields: of the pod, if it is known which.
    void pass_over(const std::string& path, const Error& why, log::Fields fields);
    void tell_total() const;

    const AdoptionSettings settings_;
    EventLoop& core_;
    Registry& registry_;
    std::deque<std::string> paths_;
    struct {
        std::size_t adopted = 0;
        std::size_t known = 0;    // to natrad already
        std::size_t foreign = 0;  // without limits, or with such as are not natra's
        std::size_t gone = 0;     // sandboxes that ended without their runtime's doing
        std::size_t failed = 0;
    } total_;
};

}  // namespace natra::pods
