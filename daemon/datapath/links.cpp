// SPDX-License-Identifier: Apache-2.0
#include <linux/if_link.h>
#include <net/if.h>

#include <cerrno>

#include "daemon/datapath/netlink_socket.hpp"

namespace natra::datapath {
namespace {

using Code = Error::Code;

std::string read_kind(const nlattr* link_info) {
    std::string kind;
    for_each_nested_attribute(link_info, [&](const nlattr* attribute) {
        if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND) kind = mnl_attr_get_str(attribute);
    });
    return kind;
}

Link read_link(const nlmsghdr* header) {
    const auto* info = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(header));
    Link link{.ifindex = info->ifi_index, .up = (info->ifi_flags & IFF_UP) != 0};
    for_each_attribute(header, sizeof(ifinfomsg), [&](const nlattr* attribute) {
        switch (mnl_attr_get_type(attribute)) {
            case IFLA_IFNAME: link.name = mnl_attr_get_str(attribute); break;
            case IFLA_LINK: link.peer_ifindex = static_cast<int>(mnl_attr_get_u32(attribute)); break;
            case IFLA_MTU: link.mtu = mnl_attr_get_u32(attribute); break;
            case IFLA_LINKINFO: link.kind = read_kind(attribute); break;
            default: break;
        }
    });
    return link;
}

Result<Link> get_link(Netlink::Socket& socket, NetlinkRequest& request, const std::string& what) {
    Link link;
    auto answered = socket.exchange(request, what, [&](const nlmsghdr* header) {
        if (header->nlmsg_type == RTM_NEWLINK) link = read_link(header);
    });
    if (answered) return link;
    auto error = std::move(answered).error();
    if (error.sys == ENODEV || error.sys == ENXIO) error.code = Code::no_device;
    return error;
}

}  // namespace

Result<Link> Netlink::link_by_name(std::string_view name) {
    NetlinkRequest request(RTM_GETLINK, 0);
    mnl_nlmsg_put_extra_header(request.header(), sizeof(ifinfomsg));
    request.put(IFLA_IFNAME, name);
    return get_link(*socket_, request, concat("interface ", name));
}

Result<Link> Netlink::link_by_index(int ifindex) {
    NetlinkRequest request(RTM_GETLINK, 0);
    auto* const info = static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(request.header(), sizeof(ifinfomsg)));
    info->ifi_index = ifindex;
    return get_link(*socket_, request, concat("interface with index ", ifindex));
}

}  // namespace natra::datapath
