// SPDX-License-Identifier: Apache-2.0
// Engine: the way into a pod's namespace, and the devices of an attachment.
#include "daemon/datapath/engine.hpp"

#include <fcntl.h>
#include <linux/pkt_sched.h>

#include <algorithm>
#include <cctype>
#include <cerrno>

#include "daemon/datapath/placement.hpp"
#include "daemon/util/log.hpp"
#include "daemon/util/may_pass.hpp"

namespace natra::datapath {

using Code = Error::Code;

namespace {

// Wording of the stock plugin, which users and their tools know.
std::string no_peer(const AttachSpec& spec) {
    return concat("container interface ", spec.device, " has no veth peer: ");
}

// Without regard to the case of its digits.
bool same_address(std::string_view a, std::string_view b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

// The namespace is there, and natrad lacks the privilege to open it by its path.
bool is_forbidden(const Error& error) { return error.sys == EACCES || error.sys == EPERM; }

Result<void> check_strictly(const AttachSpec& spec, const Link& inside, const std::optional<Link>& outside) {
    if (inside.kind != "veth" || inside.peer_ifindex == 0)
        return fail(Code::unsupported, no_peer(spec), "interface \"", spec.device, "\" was not a veth interface");
    if (!outside) return fail(Code::unsupported, "veth peer with index ", inside.peer_ifindex, " is not in host ns");
    const auto& known = spec.host_devices;
    if (std::find(known.begin(), known.end(), outside->name) == known.end())
        return fail(Code::unsupported, "no veth peer of container interface found in host ns");
    return {};
}

}  // namespace

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
    auto pod = enter(fd->get());
    // The kernel gives a dead namespace's inode to the next one.
    if (pod && record.netns_cookie != 0 && pod->netlink.netns_cookie() != record.netns_cookie)
        return fail(Code::no_device, record.netns_path, " is another network namespace now");
    return pod;
}

// The veth's end in our namespace; absent for every other interface.
Result<std::optional<Link>> Engine::find_host_side(const Link& inside, PodSide& pod) {
    if (inside.kind != "veth" || inside.peer_ifindex == 0) return std::optional<Link>();
    auto outside = host_.link_by_index(inside.peer_ifindex);
    if (!outside && outside.error().code == Code::no_device) return std::optional<Link>();
    if (!outside) return outside.error();
    // The index may belong to an unrelated device here when the peer is in a third namespace.
    if (outside->kind != "veth" || outside->peer_ifindex != inside.ifindex) return std::optional<Link>();
    const auto nsid = host_.nsid(pod.fd.get());
    if (!nsid) return nsid.error();
    if (!*nsid || outside->peer_nsid != *nsid) return std::optional<Link>();
    return std::optional<Link>(*std::move(outside));
}

Engine::DeviceKey Engine::key_of(const AttachmentRecord& record) {
    if (record.has_host_side()) return {.ifindex = record.host_ifindex};
    return {.netns_dev = record.netns.dev, .netns_ino = record.netns.ino, .ifindex = record.pod_ifindex};
}

Engine::Owner Engine::owner_of(const AttachmentRecord& record) {
    return {.id = record.id, .netns_path = record.netns_path, .netns_cookie = record.netns_cookie};
}

Result<void> Engine::check_unowned(const AttachmentRecord& record) {
    const auto found = owners_.find(key_of(record));
    if (found == owners_.end() || found->second.id == record.id) return {};
    const auto& owner = found->second;
    const auto taken =
        fail(Code::already_exists, "interface ", record.pod_device, " is limited already, as attachment ", owner.id);
    if (!record.has_host_side()) {
        // The kernel gives a dead namespace's inode to the next one. The owner's end may not have been noticed yet.
        if (owner.netns_cookie != record.netns_cookie) return {};
        const auto there = open_netns(owner.netns_path);
        if (!there && there.error().code == Code::no_device) return {};
        // One that cannot be opened now has the same number, and the same cookie where there are any.
        if (!there) return taken;
        if (const auto id = netns_id(there->get()); id && *id != record.netns) return {};
    }
    return taken;
}

// A limit on the node's own interface would be everybody's.
Result<void> Engine::expect_pods(const NetnsId& netns, const std::string& path) const {
    if (netns != worker_.home()) return {};
    return fail(Code::invalid_argument, "netns: \"", path, "\" is the node's own network namespace");
}

// An index is not used again in a namespace as long as that lives, and neither is a namespace's cookie.
Result<Link> Engine::find_inside(PodSide& pod, const AttachSpec& spec) {
    const auto& opened = spec.opened;
    const auto cookie = pod.netlink.netns_cookie();
    const bool told = opened.netns != NetnsId();
    const auto id = netns_id(pod.fd.get());
    if (!id) return id.error();
    if ((told && *id != opened.netns) || (cookie != 0 && opened.netns_cookie != 0 && cookie != opened.netns_cookie))
        return fail(Code::no_device, spec.netns_path, " is another network namespace now");
    auto link = opened.ifindex != 0 ? pod.netlink.link_by_index(opened.ifindex) : pod.netlink.link_by_name(spec.device);
    if (!link) {
        if (link.error().code != Code::no_device) return link;
        return fail(Code::no_device, spec.strict ? no_peer(spec) : "", "could not look up \"", spec.device,
                    "\": Link not found");
    }
    const bool certain = opened.ifindex != 0 && cookie != 0 && opened.netns_cookie != 0;
    if (!certain && !opened.mac.empty() && !same_address(opened.mac, link->address))
        // Without cookies (before Linux 5.14) a namespace's number may be another one's by now. If it is not, the
        // address was changed, and may be changed back.
        return fail(told && opened.ifindex != 0 ? Code::unavailable : Code::no_device, "interface ", spec.device,
                    " has the address ", link->address, ", not ", opened.mac, ": it is another one now");
    return link;
}

Result<void> Engine::find_devices(AttachmentRecord& record, PodSide& pod, const AttachSpec& spec) {
    const auto id = netns_id(pod.fd.get());
    if (!id) return id.error();
    if (auto r = expect_pods(*id, spec.netns_path); !r) return r;
    const auto inside = find_inside(pod, spec);
    if (!inside) return inside.error();
    const auto outside = find_host_side(*inside, pod);
    if (!outside) return outside.error();
    if (spec.strict)
        if (auto r = check_strictly(spec, *inside, *outside); !r) return r;
    constexpr int loopback = 1;
    if (inside->ifindex == loopback)
        return fail(Code::unsupported, "interface ", spec.device, " is the namespace's loopback");
    record.netns = *id;
    record.netns_cookie = pod.netlink.netns_cookie();
    record.pod_device = inside->name;
    record.pod_kind = kind_text(*inside);
    record.pod_link_header = has_link_header(*inside);
    record.pod_ifindex = inside->ifindex;
    if (*outside) {
        record.host_device = (*outside)->name;
        record.host_ifindex = (*outside)->ifindex;
    } else if (auto way = enter(record); !way && is_forbidden(way.error())) {
        // The limits can be put in force all the same, and a look at the attachment will say what natrad lacks.
        log::warning(concat(record.id, ": its limits cannot be changed: ", way.error().what));
    } else if (!way && way.error().code == Code::kernel) {
        auto error = way.error();
        if (may_pass(error)) error.code = Code::unavailable;
        return error;
    } else if (!way) {
        // The path is all that would be left of it: neither DEL nor its end could ever be acted upon.
        return fail(Code::unsupported, "interface ", spec.device, " has no host side, and its namespace cannot be ",
                    "found again: ", way.error().what);
    }
    return check_unowned(record);
}

// The kernel tells a whole namespace when somebody asks for one qdisc, so asking inside a pod would be news
// that leads to the next look. A list is told to nobody else, and costs little where there are few devices.
Result<std::optional<Qdisc>> Engine::root_of(const HookPoint& where) {
    if (where.netns_fd < 0) return where.netlink.root_qdisc(where.ifindex);
    const auto all = where.netlink.qdiscs(where.ifindex);
    if (!all) return all.error();
    for (const auto& qdisc : *all)
        if (qdisc.parent == TC_H_ROOT) return std::optional<Qdisc>(qdisc);
    return std::optional<Qdisc>();
}

}  // namespace natra::datapath
