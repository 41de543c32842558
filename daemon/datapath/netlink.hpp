// SPDX-License-Identifier: Apache-2.0
// rtnetlink through libmnl: links, qdiscs, classes, BPF filters.
//
// A Netlink stays in the network namespace in which it was opened, so once a
// worker has opened one inside a pod's namespace nobody has to enter it again
// for any of the calls below. Not thread-safe: one thread at a time.
#pragma once

#include <cstdint>
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
    std::string kind;    // IFLA_INFO_KIND: "veth", "macvlan", ...; empty for plain devices
    int peer_ifindex = 0;  // IFLA_LINK: a veth's peer, a macvlan's lower device; 0 if none
    std::uint32_t mtu = 0;
    bool up = false;
};

struct Qdisc {
    std::string kind;         // "htb", "fq", "clsact", "noqueue", ...
    std::uint32_t handle = 0;
    std::uint32_t parent = 0;  // TC_H_ROOT, TC_H_CLSACT, a class
};

struct BpfFilter {
    std::uint32_t parent = 0;    // hook: clsact ingress or egress
    std::uint32_t priority = 0;  // "pref"
    std::uint32_t handle = 0;
    std::string kind;            // "bpf", "u32", ...: foreign filters are listed too
    std::string name;            // TCA_BPF_NAME
    std::uint32_t prog_id = 0;   // 0 if not a BPF filter
};

struct HtbShape {
    std::uint64_t rate_bps = 0;       // bit/s of the pod's total
    std::uint64_t burst_ns = 0;       // of the root class and the heavy one, at the rate
    std::uint64_t small_burst_ns = 0; // of the class of small flows, at the rate
    std::uint32_t leaf_limit_bytes = 0;  // bfifo of each leaf
};

struct FqShape {
    std::uint32_t flow_limit = 10000;  // packets
    std::uint32_t limit = 40000;       // packets
};

class Netlink {
public:
    // Opens a socket in the calling thread's current network namespace.
    static Result<Netlink> open();
    Netlink(Netlink&&) noexcept;
    Netlink& operator=(Netlink&&) noexcept;
    ~Netlink();

    Result<Link> link_by_name(std::string_view name);  // Code::no_device if absent
    Result<Link> link_by_index(int ifindex);           // Code::no_device if absent
    // Costs a walk over every device of the namespace: for rare questions.
    Result<std::vector<Qdisc>> qdiscs(int ifindex);
    // Absent when the device has none but the kernel's built-in noqueue.
    Result<std::optional<Qdisc>> root_qdisc(int ifindex);
    Result<std::vector<BpfFilter>> filters(int ifindex, std::uint32_t parent);

    // Root qdiscs of natra's own. Fails with EEXIST (Error::sys) if a foreign
    // root qdisc other than the default is there, ENOENT if the kernel lacks
    // the qdisc. On failure nothing is left behind.
    Result<void> add_htb(int ifindex, const HtbShape& shape);
    Result<void> change_htb(int ifindex, const HtbShape& shape);  // live, loses no packet
    Result<void> add_fq(int ifindex, const FqShape& shape);
    Result<void> delete_root(int ifindex, std::uint32_t handle);  // only if the handle is ours; absent is success

    // clsact: `ensure` tells whether it made the qdisc (true) or found one (false).
    Result<bool> ensure_clsact(int ifindex);
    Result<void> delete_clsact(int ifindex);
    // Adds prog_fd as a direct-action filter under parent; returns where it sits.
    Result<BpfFilter> add_bpf_filter(int ifindex, std::uint32_t parent, std::uint32_t priority, int prog_fd,
                                     std::string_view name);
    Result<void> delete_filter(int ifindex, const BpfFilter& filter);  // absent is success

    struct Socket;

private:
    explicit Netlink(std::unique_ptr<Socket> socket);
    std::unique_ptr<Socket> socket_;
};

// Handles of the root qdiscs natra installs; the HTB one is NATRA_HTB_MAJOR.
inline constexpr std::uint32_t htb_handle = 0x4e410000;
inline constexpr std::uint32_t fq_handle = 0x4e420000;

}  // namespace natra::datapath
