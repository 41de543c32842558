// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/link_monitor.hpp"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <iterator>

#include "daemon/datapath/rtnl_parse.hpp"

namespace natra::datapath {

using Code = Error::Code;

Result<UniqueFd> open_link_monitor() {
    UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
    if (!fd) return fail_errno(Code::kernel, errno, "open link monitor");
    // A node that drains makes thousands of events at once; without CAP_NET_ADMIN the default has to do.
    const int buffer_bytes = 4 << 20;
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof buffer_bytes);
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = RTMGRP_LINK;
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        return fail_errno(Code::kernel, errno, "bind link monitor");
    return fd;
}

LinkEvents read_link_events(int monitor) {
    LinkEvents out;
    alignas(nlmsghdr) std::byte buffer[32768];
    for (;;) {
        sockaddr_nl sender{};
        socklen_t length = sizeof sender;
        const auto n = ::recvfrom(monitor, buffer, sizeof buffer, 0, reinterpret_cast<sockaddr*>(&sender), &length);
        if (n < 0 && errno == ENOBUFS) {
            out.lost = true;
            continue;
        }
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return out;
        if (sender.nl_pid != 0) continue;  // not the kernel's
        auto events = parse_link_events({buffer, static_cast<std::size_t>(n)});
        std::move(events.begin(), events.end(), std::back_inserter(out.events));
    }
}

std::vector<LinkEvent> parse_link_events(std::span<const std::byte> datagram) {
    std::vector<LinkEvent> out;
    for_each_message(datagram, [&](const NetlinkMessage& message) {
        const auto type = message.header.nlmsg_type;
        const auto info = read_struct<ifinfomsg>(message.payload);
        if ((type != RTM_NEWLINK && type != RTM_DELLINK) || !info) return;
        // AF_BRIDGE messages tell of ports leaving a bridge, not of devices.
        if (info->ifi_family != AF_UNSPEC) return;
        LinkEvent event{.deleted = type == RTM_DELLINK, .ifindex = info->ifi_index};
        for_each_attribute(rest_of(message.payload, sizeof *info), [&](int attribute, Bytes value) {
            if (attribute == IFLA_IFNAME) event.name = read_text(value);
        });
        out.push_back(std::move(event));
    });
    return out;
}

}  // namespace natra::datapath
