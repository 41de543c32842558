// SPDX-License-Identifier: Apache-2.0
// What watching needs of rtnetlink: names for other namespaces, and what devices carried.
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/pkt_sched.h>

#include <cerrno>

#include "daemon/datapath/netlink_socket.hpp"

namespace natra::datapath {

using Code = Error::Code;

namespace {

// What rtnl_link_stats64 begins with on every kernel; its length differs.
struct FirstStatistics {
    std::uint64_t rx_packets;
    std::uint64_t tx_packets;
    std::uint64_t rx_bytes;
    std::uint64_t tx_bytes;
};

LinkBytes carried(const FirstStatistics& stats) {
    return {.received = stats.rx_bytes,
            .sent = stats.tx_bytes,
            .received_packets = stats.rx_packets,
            .sent_packets = stats.tx_packets};
}

}  // namespace

std::uint32_t Netlink::port() const { return mnl_socket_get_portid(socket_->mnl); }

Result<int> Netlink::namespace_id(int netns_fd) {
    constexpr int any = -1;  // the kernel chooses
    const auto what = concat("give a network namespace a number");
    const auto known = nsid(netns_fd);
    if (!known) return known.error();
    if (*known) return **known;
    NetlinkRequest request(RTM_NEWNSID, 0);
    request.put_fixed_part<rtgenmsg>();
    request.put_struct(NETNSA_NSID, any);
    request.put_struct(NETNSA_FD, netns_fd);
    // EEXIST: somebody else was faster.
    if (auto r = socket_->exchange(request, what); !r && r.error().sys != EEXIST) return r.error();
    const auto given = nsid(netns_fd);
    if (!given) return given.error();
    if (!*given) return fail(Code::kernel, what, ": it has none");
    return **given;
}

Result<std::map<int, LinkBytes>> Netlink::link_bytes() {
    NetlinkRequest request(RTM_GETSTATS, NLM_F_DUMP);
    auto& fixed = request.put_fixed_part<if_stats_msg>();
    fixed.family = AF_UNSPEC;
    fixed.filter_mask = IFLA_STATS_FILTER_BIT(IFLA_STATS_LINK_64);
    std::map<int, LinkBytes> out;
    const auto listed = socket_->exchange(request, "read the devices' statistics", [&](const NetlinkMessage& message) {
        const auto info = read_struct<if_stats_msg>(message.payload);
        if (message.header.nlmsg_type != RTM_NEWSTATS || !info) return;
        for_each_attribute(rest_of(message.payload, sizeof *info), [&](int type, Bytes value) {
            if (type != IFLA_STATS_LINK_64) return;
            if (const auto stats = read_struct<FirstStatistics>(value))
                out[static_cast<int>(info->ifindex)] = carried(*stats);
        });
    });
    if (!listed) return listed.error();
    return out;
}

Result<LinkBytes> Netlink::link_bytes_in(int nsid, int ifindex) {
    const auto what = concat("read the statistics of ifindex ", ifindex, " in namespace ", nsid);
    // The kernel takes 0 for "by name".
    if (ifindex <= 0) return fail_errno(Code::no_device, ENODEV, what);
    NetlinkRequest request(RTM_GETLINK, 0);
    request.put_fixed_part<ifinfomsg>().ifi_index = ifindex;
    request.put_struct(IFLA_TARGET_NETNSID, nsid);
    std::optional<LinkBytes> out;
    const auto answered = socket_->exchange(request, what, [&](const NetlinkMessage& message) {
        if (message.header.nlmsg_type != RTM_NEWLINK) return;
        for_each_attribute(rest_of(message.payload, sizeof(ifinfomsg)), [&](int type, Bytes value) {
            if (type != IFLA_STATS64) return;
            if (const auto stats = read_struct<FirstStatistics>(value)) out = carried(*stats);
        });
    });
    if (!answered) return answered.error();
    if (!out) return fail(Code::kernel, what, ": the kernel's answer has none");
    return *out;
}

Result<void> Netlink::clear_root(int ifindex) {
    NetlinkRequest request(RTM_DELQDISC, 0, ifindex, TC_H_ROOT, 0);
    auto r = socket_->exchange(request, concat("delete root qdisc of ifindex ", ifindex));
    // ENOENT: only the kernel's default is there.
    if (!r && r.error().sys == ENOENT) return {};
    return r;
}

}  // namespace natra::datapath
