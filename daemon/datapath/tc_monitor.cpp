// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/tc_monitor.hpp"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "daemon/datapath/netns.hpp"
#include "daemon/datapath/rtnl_parse.hpp"

namespace natra::datapath {
namespace {

using Code = Error::Code;

constexpr int most_datagrams = 512;

// Without the control message the event is of the socket's own namespace, which has no id yet.
int nsid_of(msghdr& message) {
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_NETLINK || c->cmsg_type != NETLINK_LISTEN_ALL_NSID) continue;
        if (c->cmsg_len < CMSG_LEN(sizeof(int))) continue;
        int nsid = 0;
        std::memcpy(&nsid, CMSG_DATA(c), sizeof nsid);
        return nsid;
    }
    return host_nsid;
}

}  // namespace

TcMonitor::TcMonitor(UniqueFd socket, UniqueFd own_netns, Netlink netlink)
    : socket_(std::move(socket)), own_netns_(std::move(own_netns)), netlink_(std::move(netlink)) {}

Result<TcMonitor> TcMonitor::open() {
    UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
    if (!fd) return fail_errno(Code::kernel, errno, "open tc monitor");
    const int buffer_bytes = 4 << 20;
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof buffer_bytes);
    const int on = 1;
    if (::setsockopt(fd.get(), SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, &on, sizeof on) < 0)
        return fail_errno(Code::kernel, errno, "tc monitor: listen to other network namespaces");
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = RTMGRP_TC | RTMGRP_LINK;
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        return fail_errno(Code::kernel, errno, "bind tc monitor");
    auto own_netns = open_netns("/proc/thread-self/ns/net");
    if (!own_netns) return own_netns.error();
    auto netlink = Netlink::open();
    if (!netlink) return netlink.error();
    return TcMonitor(std::move(fd), *std::move(own_netns), *std::move(netlink));
}

int TcMonitor::place_of(int nsid) {
    if (nsid == host_nsid) return nsid;
    if (!own_nsid_)
        if (const auto own = netlink_.nsid(own_netns_.get())) own_nsid_ = *own;
    return nsid == own_nsid_ ? host_nsid : nsid;
}

TcChanges TcMonitor::read(std::uint32_t own_port) {
    TcChanges out;
    alignas(nlmsghdr) std::byte buffer[32768];
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int)) * 4];
    for (int i = 0; i < most_datagrams; ++i) {
        sockaddr_nl sender{};
        iovec space{.iov_base = buffer, .iov_len = sizeof buffer};
        msghdr message{};
        message.msg_name = &sender;
        message.msg_namelen = sizeof sender;
        message.msg_iov = &space;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        const auto n = ::recvmsg(socket_.get(), &message, 0);
        if (n < 0 && errno == ENOBUFS) {
            out.lost = true;
            continue;
        }
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        if (sender.nl_pid != 0) continue;  // not the kernel's
        collect_tc_changes({buffer, static_cast<std::size_t>(n)}, place_of(nsid_of(message)), own_port, out);
    }
    return out;
}

void collect_tc_changes(std::span<const std::byte> datagram, int nsid, std::uint32_t own_port, TcChanges& out) {
    for_each_message(datagram, [&](const NetlinkMessage& message) {
        if (nsid == host_nsid && own_port != 0 && message.header.nlmsg_pid == own_port) return;
        switch (message.header.nlmsg_type) {
        case RTM_NEWQDISC:
        case RTM_DELQDISC:
        case RTM_DELTCLASS:
        case RTM_NEWTFILTER:
        case RTM_DELTFILTER:
        case RTM_DELCHAIN:
            // A filter of a shared block names no device: the index is negative then.
            if (const auto tc = read_struct<tcmsg>(message.payload); tc && tc->tcm_ifindex > 0)
                out.places.insert({.nsid = nsid, .ifindex = tc->tcm_ifindex});
            break;
        case RTM_DELLINK:
            // Of the host's devices the link monitor tells. A device that moves on loses its qdiscs.
            if (const auto link = read_struct<ifinfomsg>(message.payload);
                link && nsid != host_nsid && link->ifi_family == AF_UNSPEC)
                out.places.insert({.nsid = nsid, .ifindex = link->ifi_index});
            break;
        default: break;
        }
    });
}

}  // namespace natra::datapath
