// SPDX-License-Identifier: Apache-2.0
// Pods that no plugin has told natrad of: found in the runtimes' caches of results. Those that ran before natrad are
// limited without a restart, those without limits are listed, so that they can be limited later. Core thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "daemon/cni/cached_result.hpp"
#include "daemon/pods/registry.hpp"
#include "daemon/util/log.hpp"
#include "daemon/util/unique_fd.hpp"

namespace natra::pods {

struct AdoptionSettings {
    enum class Which : std::uint8_t {
        none,
        limited,  // those in whose chain is a plugin that limits, the stock one or natra
        all,      // also those with no such plugin, whose limits nobody took
    };
    Which which = Which::limited;
    // libcni's; those that exist are read. multus keeps its own.
    std::vector<std::string> directories = {"/var/lib/cni/results", "/var/lib/cni/multus/results"};
    friend bool operator==(const AdoptionSettings&, const AdoptionSettings&) = default;
};
std::string_view to_string(AdoptionSettings::Which which);  // "none", "limited", "all"
std::optional<AdoptionSettings::Which> which_from(std::string_view name);

// Whether such a pod is natra's to limit, by what its chain has done so far. fresh: its entry came while natrad ran;
// where it asks for limits, its plugin, and nobody else, sees to them.
bool is_to_be_adopted(const cni::RunningPod& pod, AdoptionSettings::Which which, bool fresh);

// What natrad makes of it; Code::invalid_argument as for a request in the spool.
Result<AttachRequest> request_for(const cni::RunningPod& pod);

class RunningPods {
public:
    RunningPods(AdoptionSettings settings, EventLoop& core, Registry& registry)
        : settings_(std::move(settings)), core_(core), registry_(registry) {}

    // Once, when the registry knows what an earlier natrad left and what waits in the spool. Returns at once: one
    // entry after the other is looked at, and other calls come between. From then on, entries that appear are.
    void start();
    // No further entry is looked at; one that is being taken over is finished.
    void stop();

private:
    struct Entry {
        std::string path;
        bool fresh = false;
    };
    bool watch(const std::string& directory);  // false: there is none
    void watch_new_directories();
    void queue_all(const std::string& directory, bool fresh);
    void queue(Entry entry);
    void read_events();
    void next();
    void look_at(const Entry& entry);
    void attach(const Entry& entry, AttachRequest request);
    // fields: of the pod, if it is known which.
    void pass_over(const Entry& entry, const Error& why, log::Fields fields);
    void tell_total();

    const AdoptionSettings settings_;
    EventLoop& core_;
    Registry& registry_;
    std::deque<Entry> entries_;
    bool busy_ = false;  // one entry is being looked at, or posted to be
    bool stopped_ = false;
    bool told_ = false;                   // the total of those that ran before
    UniqueFd watch_;                      // inotify
    std::map<int, std::string> watched_;  // its descriptors -> directories
    struct {
        std::size_t adopted = 0;
        std::size_t known = 0;    // to natrad already
        std::size_t foreign = 0;  // without limits, or with such as are not natra's
        std::size_t gone = 0;     // sandboxes that ended without their runtime's doing
        std::size_t failed = 0;
    } total_;
};

}  // namespace natra::pods
