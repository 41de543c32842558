// SPDX-License-Identifier: Apache-2.0
// Netlink: what tells network namespaces apart.
#include <linux/net_namespace.h>
#include <sys/socket.h>

#include "daemon/datapath/netlink_socket.hpp"

namespace natra::datapath {
namespace {

constexpr int so_netns_cookie = 71;  // SO_NETNS_COOKIE, in headers since 5.14

}  // namespace

Result<std::optional<int>> Netlink::nsid(int netns_fd) {
    NetlinkRequest request(RTM_GETNSID, 0);
    request.put_fixed_part<rtgenmsg>();
    request.put_u32(NETNSA_FD, static_cast<std::uint32_t>(netns_fd));
    std::optional<int> found;
    const auto answered = socket_->exchange(request, "look up the number of a network namespace",
                                            [&](const NetlinkMessage& message) { found = parse_nsid(message); });
    if (!answered) return answered.error();
    return found;
}

std::uint64_t Netlink::netns_cookie() const {
    std::uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    if (::getsockopt(mnl_socket_get_fd(socket_->mnl), SOL_SOCKET, so_netns_cookie, &cookie, &length) < 0) return 0;
    return cookie;
}

}  // namespace natra::datapath
