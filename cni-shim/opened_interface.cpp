// SPDX-License-Identifier: Apache-2.0
#include "cni-shim/opened_interface.hpp"

#include <net/if.h>
#include <net/if_arp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <system_error>
#include <thread>

#include "daemon/util/unique_fd.hpp"

namespace natra::shim {
namespace {

constexpr int so_netns_cookie = 71;  // SO_NETNS_COOKIE, in headers since 5.14

// A socket belongs to the namespace in which it was made. The thread that goes there need not come back.
UniqueFd socket_in(int netns_fd) {
    UniqueFd out;
    try {
        std::thread([&] {
            if (::setns(netns_fd, CLONE_NEWNET) == 0) out.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        }).join();
    } catch (const std::system_error&) {
        // No thread to be had: natrad goes by what else it is told.
    }
    return out;
}

// As `ip link` shows it; empty for kinds whose address is not of this form.
std::string address_of(int socket, ifreq request) {
    if (::ioctl(socket, SIOCGIFHWADDR, &request) < 0 || request.ifr_hwaddr.sa_family != ARPHRD_ETHER) return "";
    char text[18];
    const auto* const byte = reinterpret_cast<const unsigned char*>(request.ifr_hwaddr.sa_data);
    std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", byte[0], byte[1], byte[2], byte[3], byte[4],
                  byte[5]);
    return text;
}

}  // namespace

cni::OpenedInterface identify(int netns_fd, const std::string& name) {
    cni::OpenedInterface out;
    struct stat status {};
    if (::fstat(netns_fd, &status) == 0) {
        out.netns_dev = status.st_dev;
        out.netns_ino = status.st_ino;
    }
    const auto socket = socket_in(netns_fd);
    if (!socket) return out;
    socklen_t length = sizeof out.netns_cookie;
    if (::getsockopt(socket.get(), SOL_SOCKET, so_netns_cookie, &out.netns_cookie, &length) < 0) out.netns_cookie = 0;
    ifreq request{};
    if (name.empty() || name.size() >= sizeof request.ifr_name) return out;
    std::copy(name.begin(), name.end(), request.ifr_name);
    auto index = request;
    if (::ioctl(socket.get(), SIOCGIFINDEX, &index) < 0) return out;
    out.ifindex = static_cast<std::uint64_t>(index.ifr_ifindex);
    out.address = address_of(socket.get(), request);
    return out;
}

}  // namespace natra::shim
