// SPDX-License-Identifier: Apache-2.0
#include "daemon/cni/request.hpp"

#include <utility>

namespace natra::cni {

Request make_request(Identity identity, Wanted wanted, std::vector<std::string> host_interfaces) {
    Request request{std::move(identity)};
    request.host_interfaces = std::move(host_interfaces);
    request.limits = wanted.limits;
    request.subnets = std::move(wanted.subnets);
    request.annotations = std::move(wanted.annotations);
    request.runtime_bursts = wanted.policy.runtime_bursts;
    request.strict_interfaces = wanted.policy.strict_interfaces;
    request.attach_mode = std::move(wanted.policy.attach_mode);
    request.edt_pacing = std::move(wanted.policy.edt_pacing);
    request.shaper = std::move(wanted.policy.shaper);
    return request;
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
        const bool limited = direction.limit.limited();
        if (limited) visitor.number(direction.rate, direction.limit.rate_bps);
        if (limited) visitor.number(direction.burst, direction.limit.burst_bits);
        // A source without a rate says "not limited".
        if (limited || direction.limit.source != limits::Source::none)
            visitor.text(direction.source, std::string(limits::to_string(direction.limit.source)));
    }
    if (!request.host_interfaces.empty()) visitor.list("HostInterfaces", request.host_interfaces);
    const auto& opened = request.opened;
    const std::pair<const char*, std::uint64_t> numbers[] = {{"NetnsDevice", opened.netns_dev},
                                                             {"NetnsInode", opened.netns_ino},
                                                             {"NetnsCookie", opened.netns_cookie},
                                                             {"InterfaceIndex", opened.ifindex}};
    for (const auto& [name, value] : numbers)
        if (value != 0) visitor.number(name, value);
    if (!opened.address.empty()) visitor.text("InterfaceAddress", opened.address);
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

}  // namespace natra::cni
