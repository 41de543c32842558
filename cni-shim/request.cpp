// SPDX-License-Identifier: Apache-2.0
#include "cni-shim/request.hpp"

#include <filesystem>

namespace natra::shim {

Request make_request(const Environment& environment, const Envelope& envelope, const Policy& policy,
                     const limits::Limits& limits, limits::SubnetRules subnets, limits::Annotations annotations,
                     std::vector<std::string> host_interfaces) {
    std::error_code ignored;
    // natrad has another working directory.
    const auto netns = std::filesystem::absolute(environment.netns, ignored).string();
    return {.container_id = environment.container_id,
            .interface = environment.interface,
            .network = envelope.name,
            .netns_path = netns.empty() ? environment.netns : netns,
            .pod_namespace = environment.pod_namespace,
            .pod_name = environment.pod_name,
            .pod_uid = environment.pod_uid,
            .host_interfaces = std::move(host_interfaces),
            .limits = limits,
            .subnets = std::move(subnets),
            .annotations = std::move(annotations),
            .runtime_bursts = policy.runtime_bursts,
            .strict_interfaces = policy.strict_interfaces,
            .attach_mode = policy.attach_mode,
            .edt_pacing = policy.edt_pacing,
            .shaper = policy.shaper};
}

void visit(const Request& request, const FieldVisitor& visitor) {
    const std::pair<const char*, const std::string*> texts[] = {{"ContainerId", &request.container_id},
                                                                {"InterfaceName", &request.interface},
                                                                {"Network", &request.network},
                                                                {"NetnsPath", &request.netns_path},
                                                                {"PodNamespace", &request.pod_namespace},
                                                                {"PodName", &request.pod_name},
                                                                {"PodUid", &request.pod_uid}};
    for (const auto& [name, value] : texts)
        if (!value->empty()) visitor.text(name, *value);
    struct Direction {
        const char *rate, *burst, *source;
        const limits::Limit& limit;
    };
    const Direction directions[] = {{"IngressRate", "IngressBurst", "IngressSource", request.limits.ingress},
                                    {"EgressRate", "EgressBurst", "EgressSource", request.limits.egress}};
    for (const auto& direction : directions) {
        if (!direction.limit.limited()) continue;
        visitor.number(direction.rate, direction.limit.rate_bps);
        visitor.number(direction.burst, direction.limit.burst_bits);
        visitor.text(direction.source, std::string(limits::to_string(direction.limit.source)));
    }
    if (!request.host_interfaces.empty()) visitor.list("HostInterfaces", request.host_interfaces);
    if (request.strict_interfaces) visitor.flag("StrictInterfaces", true);
    if (!request.subnets.shaped.empty()) visitor.list("ShapedSubnets", limits::to_strings(request.subnets.shaped));
    if (!request.subnets.unshaped.empty())
        visitor.list("UnshapedSubnets", limits::to_strings(request.subnets.unshaped));
    if (!request.annotations.empty()) visitor.map("Annotations", request.annotations);
    visitor.text("BurstPolicy", request.runtime_bursts ? "runtime" : "default");
    const std::pair<const char*, const std::string*> data_path[] = {
        {"AttachMode", &request.attach_mode}, {"EdtPacing", &request.edt_pacing}, {"Shaper", &request.shaper}};
    for (const auto& [name, value] : data_path)
        if (*value != "auto") visitor.text(name, *value);
}

Json to_object(const Request& request) {
    Json out;
    const auto put = [&out](const char* name, const auto& value) { out[name] = value; };
    visit(request, {.text = put, .number = put, .flag = put, .list = put, .map = put});
    return out;
}

}  // namespace natra::shim
