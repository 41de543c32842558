// SPDX-License-Identifier: Apache-2.0
// Tells where somebody changed qdiscs or classifiers or took a device away: on
// the host and inside pods' namespaces, without keeping any of those alive.
//
// Not the link monitor's socket: a pod that makes changes in a loop may overflow
// this one, and must not make the node lose its news of devices.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <set>
#include <span>

#include "daemon/datapath/netlink.hpp"
#include "daemon/util/error.hpp"
#include "daemon/util/unique_fd.hpp"

namespace natra::datapath {

inline constexpr int host_nsid = -1;

// A device on which something changed.
struct TcPlace {
    int nsid = host_nsid;  // the host's id of the namespace (Netlink::namespace_id)
    int ifindex = 0;
    // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy takes what the compiler makes of it for a literal
    friend auto operator<=>(const TcPlace&, const TcPlace&) = default;
};

struct TcChanges {
    std::set<TcPlace> places;
    bool lost = false;  // the kernel had more to tell than fitted: look everywhere
};

// A nonblocking socket in the network namespace of the thread that opened it: the host's. It hears of every
// namespace that has an id there; for that the process needs CAP_NET_BROADCAST.
class TcMonitor {
public:
    static Result<TcMonitor> open();

    int fd() const { return socket_.get(); }
    // What waits there, at most a few hundred messages of it: a storm must not hold up the caller. Changes on
    // the host by the socket that is bound to own_port are left out; in pods' namespaces a port proves nothing.
    TcChanges read(std::uint32_t own_port);

private:
    TcMonitor(UniqueFd socket, UniqueFd own_netns, Netlink netlink);
    int place_of(int nsid);

    UniqueFd socket_;
    UniqueFd own_netns_;
    Netlink netlink_;
    // The host's namespace, too, gets an id, as soon as anybody reads there where the other end of a pod's device
    // is; its messages carry the id from then on. It stays the same.
    std::optional<int> own_nsid_;
};

// Adds the places of one datagram. Pure; what is malformed is left out.
void collect_tc_changes(std::span<const std::byte> datagram, int nsid, std::uint32_t own_port, TcChanges& out);

}  // namespace natra::datapath
