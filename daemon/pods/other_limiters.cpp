// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/other_limiters.hpp"

#include "daemon/pods/digest.hpp"
#include "daemon/pods/stock_plugin.hpp"

namespace natra::pods {
namespace {

using Policy = OtherLimitersPolicy;

constexpr const char* calico = "Calico's Felix";
constexpr const char* cilium = "Cilium's bandwidth manager";
constexpr const char* cilium_map = "its map cilium_throttle";
constexpr const char* stock = "the stock bandwidth plugin";

std::optional<datapath::TokenBucket> bucket_of(const datapath::OtherLimiters& node, int ifindex) {
    const auto found = node.token_buckets.find(ifindex);
    return found == node.token_buckets.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace

std::string_view to_string(Policy policy) { return policy == Policy::report ? "report" : "standDown"; }

std::optional<Policy> other_limiters_policy_from(std::string_view name) {
    for (const auto policy : {Policy::report, Policy::stand_down})
        if (name == to_string(policy)) return policy;
    return std::nullopt;
}

std::string calico_ifb_name(std::string_view host_device) {
    constexpr std::size_t digits = 9;
    return concat("bwcali", sha512_hex(host_device).substr(0, digits));
}

OthersOnPod others_on(const datapath::OtherLimiters& node, const Pod& pod) {
    OthersOnPod out;
    const auto& record = pod.kernel.record;
    const auto& device = record.host_device;
    if (!record.has_host_side()) return out;
    if (node.cilium && device.starts_with("lxc")) {
        out.egress = OtherLimiter{.who = cilium, .evidence = cilium_map, .agent = true};
        if (node.cilium_to_pods) out.ingress = out.egress;
    }
    const bool calicos = device.starts_with("cali");
    if (const auto bucket = bucket_of(node, record.host_ifindex))
        out.ingress = OtherLimiter{.who = calicos ? calico : "somebody on the host",
                                   .evidence = concat("TBF at the root of ", device),
                                   .agent = calicos,
                                   .bucket = bucket};
    if (const auto ifb = node.ifbs.find(calico_ifb_name(device)); calicos && ifb != node.ifbs.end())
        out.egress = OtherLimiter{.who = calico,
                                  .evidence = concat("IFB ", ifb->first),
                                  .agent = true,
                                  .bucket = bucket_of(node, ifb->second)};
    if (const auto ifb = stock_ifb_name(pod.request.network, pod.request.container_id); node.ifbs.contains(ifb))
        out.egress = OtherLimiter{.who = stock, .evidence = concat("IFB ", ifb)};
    return out;
}

limits::Limits without_those_of(const OthersOnPod& others, limits::Limits limits, Policy policy) {
    if (policy != Policy::stand_down) return limits;
    const auto leave = [](const std::optional<OtherLimiter>& other, limits::Limit& limit) {
        if (other && other->agent && other->passed && other->bucket && other->bucket->rate_bps <= limit.rate_bps &&
            limit.source == limits::Source::runtime)
            limit = {};
    };
    leave(others.ingress, limits.ingress);
    leave(others.egress, limits.egress);
    return limits;
}

}  // namespace natra::pods
