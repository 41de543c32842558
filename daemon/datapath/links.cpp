// SPDX-License-Identifier: Apache-2.0
#include <linux/if_link.h>
#include <net/if.h>

#include <cerrno>

#include "daemon/datapath/netlink_socket.hpp"

namespace natra::datapath {
namespace {

using Code = Error::Code;

Result<Link> get_link(Netlink::Socket& socket, NetlinkRequest& request, const std::string& what) {
    // Statistics would be most of the answer.
    request.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    std::optional<Link> link;
    const auto answered = socket.exchange(request, what, [&](const NetlinkMessage& message) {
        if (auto parsed = parse_link(message)) link = std::move(parsed);
    });
    if (!answered) return answered.error();
    if (!link) return fail(Code::kernel, what, ": the kernel's answer describes no interface");
    return *std::move(link);
}

}  // namespace

Result<Link> Netlink::link_by_name(std::string_view name) {
    if (name.empty() || name.size() >= IFNAMSIZ || name.find('\0') != std::string_view::npos)
        return fail(Code::invalid_argument, "interface name \"", name, "\" is not of 1 to ", IFNAMSIZ - 1, " bytes");
    NetlinkRequest request(RTM_GETLINK, 0);
    request.put_fixed_part<ifinfomsg>();
    request.put(IFLA_IFNAME, name);
    return get_link(*socket_, request, concat("look up interface ", name));
}

Result<Link> Netlink::link_by_index(int ifindex) {
    const auto what = concat("look up interface with index ", ifindex);
    // The kernel takes 0 for "by name" and calls the rest an invalid request.
    if (ifindex <= 0) return fail_errno(Code::no_device, ENODEV, what);
    NetlinkRequest request(RTM_GETLINK, 0);
    request.put_fixed_part<ifinfomsg>().ifi_index = ifindex;
    return get_link(*socket_, request, what);
}

Result<std::vector<Link>> Netlink::links_of_kind(std::string_view kind) {
    NetlinkRequest request(RTM_GETLINK, NLM_F_DUMP);
    request.put_fixed_part<ifinfomsg>();
    request.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    request.nest(IFLA_LINKINFO, [&] { request.put(IFLA_INFO_KIND, kind); });
    std::vector<Link> out;
    const auto listed =
        socket_->exchange(request, concat("list interfaces of kind ", kind), [&](const NetlinkMessage& message) {
            if (auto link = parse_link(message); link && link->kind == kind) out.push_back(*std::move(link));
        });
    if (!listed) return listed.error();
    return out;
}

Result<void> Netlink::delete_link(int ifindex) {
    const auto what = concat("delete interface with index ", ifindex);
    // The kernel takes 0 for "by name or by group".
    if (ifindex <= 0) return fail_errno(Code::no_device, ENODEV, what);
    NetlinkRequest request(RTM_DELLINK, 0);
    request.put_fixed_part<ifinfomsg>().ifi_index = ifindex;
    return socket_->exchange(request, what);
}

}  // namespace natra::datapath
