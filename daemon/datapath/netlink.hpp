// SPDX-License-Identifier: Apache-2.0
// rtnetlink through libmnl: links, qdiscs, classes, BPF filters.
//
// A Netlink stays in the network namespace in which it was opened, so once a
// worker has opened one inside a pod's namespace nobody has to enter it again
// for any of the calls below. Not thread-safe: one thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/util/error.hpp"

namespace natra::datapath {

struct Link {
    int ifindex = 0;
    std::string name;
    std::string kind;                          // IFLA_INFO_KIND: "veth", "macvlan", ...; empty for plain devices
    int peer_ifindex = 0;                      // IFLA_LINK: a veth's peer, a macvlan's lower device; 0 if none
    std::optional<int> peer_nsid;              // see Netlink::nsid(): where peer_ifindex is, if in another namespace
    std::optional<std::uint16_t> ipvlan_mode;  // IFLA_IPVLAN_MODE
    std::uint32_t mtu = 0;
    std::uint16_t type = 0;  // ARPHRD_*: 1 is Ethernet
    bool up = false;
    std::string address;  // IFLA_ADDRESS as "0a:58:0a:f4:00:05"; empty where the kind has none
};

struct Qdisc {
    int ifindex = 0;
    std::string kind;  // "htb", "fq", "clsact", "noqueue", ...
    std::uint32_t handle = 0;
    std::uint32_t parent = 0;          // TC_H_ROOT, TC_H_CLSACT, a class
    std::uint32_t queued_packets = 0;  // in it and below
    std::uint64_t queued_bytes = 0;    // the same
};

// A TBF at a device's root.
struct TokenBucket {
    std::uint64_t rate_bps = 0;
    std::uint64_t offered = 0;        // packets that came to it: sent, dropped or waiting; GSO counts its segments
    std::uint64_t offered_bytes = 0;  // of those at most: dropped ones are not measured, and count as full frames
    friend bool operator==(const TokenBucket&, const TokenBucket&) = default;
};

struct BpfFilter {
    std::uint32_t parent = 0;    // hook: clsact ingress or egress
    std::uint32_t priority = 0;  // "pref"
    std::uint32_t handle = 0;
    std::string kind;           // "bpf", "u32", ...: foreign filters are listed too
    std::string name;           // TCA_BPF_NAME
    std::uint32_t prog_id = 0;  // 0 if not a BPF filter
};

struct HtbShape {
    std::uint64_t rate_bps = 0;          // bit/s of the pod's total
    std::uint64_t burst_ns = 0;          // of the root class and the heavy one, at the rate
    std::uint64_t small_burst_ns = 0;    // of the class of small flows, at the rate
    std::uint32_t leaf_limit_bytes = 0;  // bfifo of each leaf
};

// What fq has besides is left to its defaults: none of it holds a packet back or drops it that carries its time.
struct FqShape {
    std::uint32_t flow_limit = 10000;  // packets
    std::uint32_t limit = 40000;       // packets
};

// What a device carried since it was made, bytes; headers of GSO packets count once, and so do they as packets.
struct LinkBytes {
    std::uint64_t received = 0;
    std::uint64_t sent = 0;
    std::uint64_t received_packets = 0;
    std::uint64_t sent_packets = 0;
};

class NetlinkRequest;

// Errors carry the kernel's errno (Error::sys) and its own words; a device that is
// absent is Code::no_device.
class Netlink {
public:
    // Opens a socket in the calling thread's current network namespace.
    static Result<Netlink> open();
    Netlink(Netlink&&) noexcept;
    Netlink& operator=(Netlink&&) noexcept;
    ~Netlink();

    // Code::no_device if absent; a name that no interface can have is Code::invalid_argument.
    Result<Link> link_by_name(std::string_view name);
    Result<Link> link_by_index(int ifindex);                         // Code::no_device if absent
    Result<std::vector<Link>> links_of_kind(std::string_view kind);  // IFLA_INFO_KIND
    // This namespace's number for another one; absent if it has given none yet.
    Result<std::optional<int>> nsid(int netns_fd);
    // Never used again until the next boot; 0 before Linux 5.14.
    [[nodiscard]] std::uint64_t netns_cookie() const;
    Result<void> delete_link(int ifindex);  // Code::no_device if absent
    // Costs a walk over every device of the namespace: for rare questions. Without the kernel's built-in ones.
    Result<std::vector<Qdisc>> qdiscs(int ifindex);
    // Of every device of the namespace.
    Result<std::vector<Qdisc>> qdiscs();
    // At the roots of the namespace's devices, by ifindex.
    Result<std::map<int, TokenBucket>> token_buckets();
    // Absent when the device has none but the kernel's built-in noqueue.
    Result<std::optional<Qdisc>> root_qdisc(int ifindex);
    // Of every kind, on every chain. None if there is no such hook or device.
    Result<std::vector<BpfFilter>> filters(int ifindex, std::uint32_t parent);

    // Root qdiscs of natra's own. Fails with EEXIST (Error::sys) if a root qdisc with a handle is
    // there, be it ours: only defaults that the kernel put there have none. ENOENT if the kernel
    // lacks the qdisc. On failure nothing is left behind.
    // replaces: a root of natra's, htb_handle or fq_handle, that gives way, and what it holds with it. A
    // failure to fill the new one takes both away.
    Result<void> add_htb(int ifindex, const HtbShape& shape, std::uint32_t replaces = 0);
    Result<void> add_fq(int ifindex, const FqShape& shape, std::uint32_t replaces = 0);
    // Live: what is queued stays queued. On failure some parts may have the new shape: give the old one again.
    Result<void> change_htb(int ifindex, const HtbShape& shape);
    // Live: what is beyond a lower limit is dropped. ENOENT if there is no root qdisc, EEXIST if it is another's.
    Result<void> change_fq(int ifindex, const FqShape& shape);
    // htb_handle or fq_handle. A root that is not natra's stays; that, and absence, is success.
    Result<void> delete_root(int ifindex, std::uint32_t handle);

    // Whatever is there. Absence is success.
    Result<void> clear_root(int ifindex);

    // clsact: `ensure` tells whether it made the qdisc (true) or found one (false). EEXIST if an
    // ingress qdisc is in its place.
    Result<bool> ensure_clsact(int ifindex);
    Result<void> delete_clsact(int ifindex);  // absent, or an ingress qdisc in its place, is success
    // The qdiscs of the stock bandwidth plugin: ingress ffff: with its filters, and TBF 1: (in its releases 1.5.x
    // HTB 1:) at the root. Others in their places stay; that, and absence, is success.
    Result<void> delete_stock_ingress(int ifindex);
    Result<void> delete_stock_root(int ifindex);
    // Adds prog_fd as a direct-action filter under parent; returns where it sits. priority 1 to
    // 65535 with 1 running first, and at one priority the newest; 0 lets the kernel choose, which may be behind others.
    // classid: its major number is that of the classes that the program returns (tc_classid); 0 where it returns none.
    Result<BpfFilter> add_bpf_filter(int ifindex, std::uint32_t parent, std::uint32_t priority, int prog_fd,
                                     std::string_view name, std::uint32_t classid = 0);
    // Puts prog_fd into the place of the one at filter's parent, priority and handle, in one step, under filter's name.
    // ENOENT if there is none, EINVAL if it is not a BPF filter.
    Result<void> replace_bpf_filter(int ifindex, const BpfFilter& filter, int prog_fd);
    // The one at its parent, priority and handle. Absent is success.
    Result<void> delete_filter(int ifindex, const BpfFilter& filter);

    // The id under which this socket's namespace knows another one; gives it one if need be. The id
    // lasts as long as both namespaces and does not keep the other one alive.
    Result<int> namespace_id(int netns_fd);
    // Of every device of the namespace, by ifindex: one request.
    Result<std::map<int, LinkBytes>> link_bytes();
    // Of one device of another namespace, by this one's number for it. Code::no_device if it is not there.
    Result<LinkBytes> link_bytes_in(int nsid, int ifindex);
    // The socket's own address, unique in its namespace: what it changes is announced with it.
    [[nodiscard]] std::uint32_t port() const;

    struct Socket;

private:
    explicit Netlink(std::unique_ptr<Socket> socket);
    Result<void> add_root(NetlinkRequest& request, int ifindex, std::string_view kind);
    Result<void> expect_root(int ifindex, std::uint32_t handle);
    std::unique_ptr<Socket> socket_;
};

// Handles of the root qdiscs natra installs; the HTB one is NATRA_HTB_MAJOR.
inline constexpr std::uint32_t htb_handle = 0x4e410000;
inline constexpr std::uint32_t fq_handle = 0x4e420000;
// Of the stock bandwidth plugin's root qdisc, and of many others'.
inline constexpr std::uint32_t stock_root_handle = 0x00010000;

}  // namespace natra::datapath
