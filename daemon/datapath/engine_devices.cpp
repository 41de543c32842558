// SPDX-License-Identifier: Apache-2.0
// Engine: the way into a pod's namespace, and the devices of an attachment.
#include "daemon/datapath/engine.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

namespace natra::datapath {

using Code = Error::Code;

Result<Engine::PodSide> Engine::enter(int netns_fd) {
    const auto id = netns_id(netns_fd);
    if (!id) return id.error();
    UniqueFd own(::fcntl(netns_fd, F_DUPFD_CLOEXEC, 3));
    if (!own) return fail_errno(Code::internal, errno, "duplicate network namespace descriptor");
    auto netlink = worker_.run(own.get(), [] { return Netlink::open(); });
    if (!netlink) return netlink.error();
    return PodSide{std::move(own), *std::move(netlink)};
}

// Not kept open between calls: a descriptor or socket of ours would keep a dead pod's namespace alive.
Result<Engine::PodSide> Engine::enter(const AttachmentRecord& record) {
    if (record.netns_path.empty())
        return fail(Code::unavailable, record.id, ": the network namespace's path is not known");
    auto fd = open_netns(record.netns_path);
    if (!fd) return fd.error();
    const auto id = netns_id(fd->get());
    if (!id) return id.error();
    if (*id != record.netns) return fail(Code::no_device, record.netns_path, " is another network namespace now");
    return enter(fd->get());
}

Result<void> Engine::find_devices(AttachmentRecord& record, PodSide& pod, const AttachSpec& spec) {
    const auto id = netns_id(pod.fd.get());
    if (!id) return id.error();
    // Wording of the stock plugin, which users and their tools know.
    const auto no_peer = concat("container interface ", spec.device, " has no veth peer: ");
    const auto inside = pod.netlink.link_by_name(spec.device);
    if (!inside) {
        if (inside.error().code != Code::no_device) return inside.error();
        return fail(Code::no_device, no_peer, "could not look up \"", spec.device, "\": Link not found");
    }
    if (inside->kind != "veth" || inside->peer_ifindex == 0)
        return fail(Code::unsupported, no_peer, "interface \"", spec.device, "\" was not a veth interface");
    const auto outside = host_.link_by_index(inside->peer_ifindex);
    // The index may belong to an unrelated device here when the peer is in a third namespace.
    if (!outside || outside->kind != "veth" || outside->peer_ifindex != inside->ifindex)
        return fail(Code::unsupported, "veth peer with index ", inside->peer_ifindex, " is not in host ns");
    const auto& known = spec.host_devices;
    if (!known.empty() && std::find(known.begin(), known.end(), outside->name) == known.end())
        return fail(Code::unsupported, "no veth peer of container interface found in host ns");
    const auto owner = owners_.find(outside->ifindex);
    if (owner != owners_.end() && owner->second != spec.id)
        return fail(Code::already_exists, "interface ", spec.device, " is limited already, as attachment ",
                    owner->second);
    record.netns = *id;
    record.pod_device = spec.device;
    record.pod_ifindex = inside->ifindex;
    record.host_device = outside->name;
    record.host_ifindex = outside->ifindex;
    return {};
}

}  // namespace natra::datapath
