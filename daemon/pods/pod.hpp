// SPDX-License-Identifier: Apache-2.0
// One attachment as the operator sees it: who it is, what was asked, what an
// operator changed, what is in force.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daemon/datapath/opened_interface.hpp"
#include "daemon/datapath/record.hpp"
#include "daemon/limits/annotations.hpp"
#include "daemon/limits/limits.hpp"
#include "daemon/limits/subnets.hpp"
#include "daemon/pods/pins.hpp"

namespace natra::pods {

// Of a pod that ran before natrad knew of it.
struct Running {
    bool stock = false;  // the stock bandwidth plugin limits it
};

// What a CNI ADD carries.
struct AttachRequest {
    std::string container_id;
    std::string interface_name;
    std::string network;
    std::string netns_path;
    std::string pod_namespace;
    std::string pod_name;
    std::string pod_uid;
    std::vector<std::string> host_interfaces;
    datapath::OpenedInterface opened;  // only for the attach itself
    bool strict_interfaces = false;    // see datapath::AttachSpec::strict
    limits::Limits limits;
    limits::SubnetRules subnets;
    limits::Annotations annotations;    // the relevant ones, until interpret() turned them into limits and warnings
    std::vector<std::string> warnings;  // what in the annotations has no effect, and why
    bool annotated = false;             // there were annotations
    bool honour_filler_bursts = false;  // burstPolicy "runtime"
    Pins pins;                          // of the network configuration
    std::optional<Running> running;     // not of an ADD; forgotten once it is attached
};

// Whom a DEL is about.
struct AttachmentName {
    std::string container_id;
    std::string interface_name;
    std::string network;  // may be empty
};

// An operator's change of one direction; absent fields follow the request.
struct DirectionOverride {
    std::optional<std::uint64_t> rate_bps;    // 0 lifts the limit
    std::optional<std::uint64_t> burst_bits;  // 0: natrad's default
    [[nodiscard]] bool any() const { return rate_bps || burst_bits; }
    friend bool operator==(const DirectionOverride&, const DirectionOverride&) = default;
};

struct Override {
    DirectionOverride ingress;
    DirectionOverride egress;
    Pins pins;
    // Who made the last change, for a human, and when (CLOCK_REALTIME); empty and 0 where nothing is overridden.
    std::string by;
    std::uint64_t at_usec = 0;
    [[nodiscard]] bool any() const { return ingress.any() || egress.any() || pins.any(); }
    friend bool operator==(const Override&, const Override&) = default;
};

struct Pod {
    std::string id;
    AttachRequest request;
    Override changes;
    limits::Limits effective;  // in force, after overrides and the burst policy
    datapath::Attached kernel;
    std::uint64_t attached_at_usec = 0;  // CLOCK_REALTIME
    std::uint64_t tamper_events = 0;     // how often somebody's change to the kernel's objects had to be mended
};

// CLOCK_REALTIME.
std::uint64_t now_realtime_usec();

// The change was made now, by this one; nothing overridden: by nobody.
Override stamped(Override changes, const std::string& by);

// Annotations become limits and warnings.
void interpret(AttachRequest& request);

// Code::invalid_argument naming the field and the value.
Result<void> validate(const AttachRequest& request);
// granted: the limits without the changes.
Result<void> validate(const Override& changes, const limits::Limits& granted);

// The node's part of limits::BurstPolicy.
struct BurstSettings {
    std::uint64_t default_burst_ns = 0;
    std::uint64_t max_burst_ns = 1'000'000'000;
    friend bool operator==(const BurstSettings&, const BurstSettings&) = default;
};
// The stronger source wins, then the burst policy applies. granted: what limits::granted() makes of the request.
limits::Limits effective_limits(const limits::Limits& granted, const AttachRequest& request, const Override& changes,
                                const BurstSettings& bursts);

// "namespace/name interface", or "container ID interface" where the runtime names no pod.
std::string describe(const Pod& pod);
// What is in force, where and why, for the log: of one direction ("not limited" without a limit), and of both.
std::string describe_limit(const Pod& pod, datapath::Direction direction);
std::string describe_limits(const Pod& pod);

// Why a direction has no limit: "no limit: no annotation"; empty if it has one.
std::string why_unlimited(const limits::Limit& effective);

// For the data path, which knows no sources.
datapath::Rates to_rates(const limits::Limits& limits);

}  // namespace natra::pods
