// SPDX-License-Identifier: Apache-2.0
// Who else holds natra's pods to a rate, and what becomes of natra's limit then. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/datapath/other_limiters.hpp"
#include "daemon/pods/pod.hpp"

namespace natra::pods {

enum class OtherLimitersPolicy : std::uint8_t {
    report,      // natra limits all the same, and says so
    stand_down,  // natra leaves to a network agent what that limits by the same annotation
};
std::string_view to_string(OtherLimitersPolicy policy);  // "report", "standDown"
std::optional<OtherLimitersPolicy> other_limiters_policy_from(std::string_view name);

struct OtherLimiter {
    std::string who;       // "Calico's Felix"
    std::string evidence;  // "TBF at the root of cali12"
    bool agent = false;    // it goes by the pods' annotations kubernetes.io/..., as the runtimes do
    // What it holds the direction to, and the packets that it has seen; absent where that cannot be known.
    std::optional<datapath::TokenBucket> bucket = {};
    bool passed = false;  // by all packets of the direction, as a Passage found
    [[nodiscard]] bool same_as(const OtherLimiter& other) const {
        return who == other.who && evidence == other.evidence;
    }
};

// For each direction of an attachment.
struct OthersOnPod {
    std::optional<OtherLimiter> ingress;
    std::optional<OtherLimiter> egress;
    [[nodiscard]] bool any() const { return ingress || egress; }
    [[nodiscard]] const std::optional<OtherLimiter>& of(datapath::Direction d) const {
        return d == datapath::Direction::ingress ? ingress : egress;
    }
    [[nodiscard]] std::optional<OtherLimiter>& of(datapath::Direction d) {
        return d == datapath::Direction::ingress ? ingress : egress;
    }
};
OthersOnPod others_on(const datapath::OtherLimiters& node, const Pod& pod);

// The IFB through which Calico limits what comes from a pod, by its device on the host.
std::string calico_ifb_name(std::string_view host_device);

// Without the limits that are left to others: those that the runtime took from the annotations, and no others, where
// all packets pass an agent's limiter that is at most as fast.
limits::Limits without_those_of(const OthersOnPod& others, limits::Limits limits, OtherLimitersPolicy policy);

}  // namespace natra::pods
