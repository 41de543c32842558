// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/link_monitor.hpp"

#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <vector>

#include "daemon/datapath/netlink_attributes.hpp"

namespace natra::datapath {

using Code = Error::Code;

Result<UniqueFd> open_link_monitor() {
    UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
    if (!fd) return fail_errno(Code::kernel, errno, "open link monitor");
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = RTMGRP_LINK;
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        return fail_errno(Code::kernel, errno, "bind link monitor");
    return fd;
}

LinkEvents read_link_events(int monitor) {
    LinkEvents out;
    alignas(nlmsghdr) char buffer[32768];
    for (;;) {
        const auto n = ::recv(monitor, buffer, sizeof buffer, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == ENOBUFS) {
            out.lost = true;
            continue;
        }
        if (n <= 0) return out;
        auto length = static_cast<int>(n);
        const auto* header = reinterpret_cast<const nlmsghdr*>(buffer);
        for (; mnl_nlmsg_ok(header, length); header = mnl_nlmsg_next(header, &length)) {
            if (header->nlmsg_type != RTM_NEWLINK && header->nlmsg_type != RTM_DELLINK) continue;
            if (header->nlmsg_len < mnl_nlmsg_size(sizeof(ifinfomsg))) continue;
            const auto* info = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(header));
            // AF_BRIDGE messages tell of ports leaving a bridge, not of devices.
            if (info->ifi_family != AF_UNSPEC) continue;
            LinkEvent event{.deleted = header->nlmsg_type == RTM_DELLINK, .ifindex = info->ifi_index};
            for_each_attribute(header, sizeof(ifinfomsg), [&](const nlattr* attribute) {
                if (mnl_attr_get_type(attribute) == IFLA_IFNAME) event.name = mnl_attr_get_str(attribute);
            });
            out.events.push_back(std::move(event));
        }
    }
}

}  // namespace natra::datapath
