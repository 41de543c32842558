// SPDX-License-Identifier: Apache-2.0
// Engine: what the kernel has, compared with what the record says.
#include "daemon/datapath/engine.hpp"

#include <cstring>

#include "daemon/datapath/class_filter.hpp"
#include "daemon/datapath/shaper.hpp"

namespace natra::datapath {

using Code = Error::Code;

Result<void> Engine::check(const Attached& attached, int netns_fd) {
    auto pod = enter(netns_fd);
    if (!pod) return pod.error();
    for (const auto direction : directions)
        if (attached.record.of(direction))
            if (auto r = verify(attached, direction, &*pod); !r) return r;
    return {};
}

Result<void> Engine::verify(const Attached& attached, Direction direction, PodSide* pod) {
    const auto& record = attached.record;
    const auto& shaping = *record.of(direction);
    const auto where = point(record, direction, shaping.pod_side, shaping.hook.device_egress, pod);
    const auto qdisc = shaper_qdisc_in_force(where.netlink, where.ifindex, shaping.shaper);
    if (!qdisc) return qdisc.error();
    if (!*qdisc)
        return fail(Code::mismatch, "Failed to find qdisc ", to_string(shaping.shaper), " for ", to_string(direction),
                    " on ", where.device);
    if (shaping.shaper == Shaper::htb) {
        const auto filtered = has_class_filter(where.netlink, where.ifindex);
        if (!filtered) return filtered.error();
        if (!*filtered)
            return fail(Code::mismatch, "Failed to find filter of qdisc htb for ", to_string(direction), " on ",
                        where.device);
    }
    const auto hook = hook_state(where, shaping.hook, attached.instance(direction)->prog_id());
    if (!hook) return hook.error();
    if (*hook == HookState::absent)
        return fail(Code::mismatch, "Failed to find program for ", to_string(direction), " at ",
                    describe_hook(record, shaping));
    const auto wanted = config_for(record, shaping.rate, shaping.shaper, direction);
    if (std::memcmp(&attached.instance(direction)->config(), &wanted, sizeof wanted) != 0)
        return fail(Code::mismatch, "Rate doesn't match: ", to_string(direction), " at ",
                    describe_hook(record, shaping));
    if (std::memcmp(&attached.instance(direction)->subnets(), &record.subnets, sizeof record.subnets) != 0)
        return fail(Code::mismatch, "Subnets don't match: ", to_string(direction), " at ",
                    describe_hook(record, shaping));
    return {};
}

Result<bool> Engine::alive(const AttachmentRecord& record) {
    if (!record.has_host_side()) return alive_inside(record);
    const auto link = host_.link_by_index(record.host_ifindex);
    if (!link && link.error().code == Code::no_device) return false;
    if (!link) return link.error();
    // The host may rename its end, and the pod may move the other one, where it gets another index.
    return link->kind == "veth" && (link->peer_ifindex == record.pod_ifindex || link->name == record.host_device);
}

// Nothing on the host dies with such an interface: its namespace has to be looked into.
Result<bool> Engine::alive_inside(const AttachmentRecord& record) {
    auto pod = enter(record);
    if (!pod && pod.error().code == Code::no_device) return false;
    if (!pod) return pod.error();
    const auto link = pod->netlink.link_by_index(record.pod_ifindex);
    if (!link && link.error().code != Code::no_device) return link.error();
    return static_cast<bool>(link);
}

Result<bool> Engine::same_device(const AttachmentRecord& record, int netns_fd, const std::string& device) {
    const auto id = netns_id(netns_fd);
    if (!id) return id.error();
    const auto living = alive(record);
    if (!living) return living.error();
    if (*id != record.netns || !*living) return false;
    auto pod = enter(netns_fd);
    if (!pod) return pod.error();
    const auto link = pod->netlink.link_by_name(device);
    return link && link->ifindex == record.pod_ifindex;
}

Result<bool> Engine::is_for(const AttachmentRecord& record, const AttachSpec& spec) {
    const auto id = netns_id(spec.netns_fd);
    if (!id) return id.error();
    const auto living = alive(record);
    if (!living) return living.error();
    if (!*living) return false;
    if (auto r = expect_pods(*id, spec.netns_path); !r) return r.error();
    auto pod = enter(spec.netns_fd);
    if (!pod) return pod.error();
    const auto inside = find_inside(*pod, spec);
    if (!inside) return inside.error();
    return *id == record.netns && inside->ifindex == record.pod_ifindex;
}

}  // namespace natra::datapath
