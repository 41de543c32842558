// SPDX-License-Identifier: Apache-2.0
#include <linux/pkt_sched.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "bpf/natra_abi.h"
#include "daemon/datapath/netlink_socket.hpp"

namespace natra::datapath {
namespace {

using Code = Error::Code;

constexpr std::uint32_t class_id(std::uint32_t minor) { return NATRA_HTB_MAJOR << 16 | minor; }
constexpr std::uint32_t root_class = class_id(NATRA_HTB_ROOT_MINOR);

struct Leaf {
    std::uint32_t minor;
    std::uint32_t qdisc_major;
    std::uint32_t priority;  // 0 is served first
    std::uint64_t tenths;    // guaranteed share of the rate
    std::uint64_t HtbShape::*burst_ns;
};
constexpr Leaf leaves[] = {{NATRA_HTB_SMALL_MINOR, 0x4e43, 0, 8, &HtbShape::small_burst_ns},
                           {NATRA_HTB_HEAVY_MINOR, 0x4e44, 1, 2, &HtbShape::burst_ns}};

// The kernel counts qdisc time in ticks of 64 ns (PSCHED_SHIFT).
std::uint32_t ticks(std::uint64_t ns) {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(ns / 64, std::numeric_limits<std::uint32_t>::max()));
}

std::uint64_t ns_for(std::uint64_t bytes, std::uint64_t bytes_per_second) {
    return static_cast<std::uint64_t>(static_cast<double>(bytes) * 1e9 / static_cast<double>(bytes_per_second));
}

void put_htb_class(NetlinkRequest& request, std::uint64_t rate, std::uint64_t ceil, std::uint64_t burst_ns,
                   std::uint32_t priority) {
    // A GSO packet of 64 kB a turn, at any rate: HTB would derive a quantum from the rate, and warn about it.
    constexpr std::uint32_t quantum = 65536;
    tc_htb_opt options{};
    // No rate tables: they are for link layers that pad, and need this to be named.
    options.rate.linklayer = TC_LINKLAYER_ETHERNET;
    options.ceil.linklayer = TC_LINKLAYER_ETHERNET;
    options.rate.rate = static_cast<std::uint32_t>(std::min<std::uint64_t>(rate, UINT32_MAX));
    options.ceil.rate = static_cast<std::uint32_t>(std::min<std::uint64_t>(ceil, UINT32_MAX));
    // At least a full frame, or a class would borrow for every packet.
    options.buffer = ticks(std::max(burst_ns, ns_for(1514, rate)));
    options.cbuffer = ticks(std::max(burst_ns, ns_for(1514, ceil)));
    options.quantum = quantum;
    options.prio = priority;
    request.put(TCA_KIND, "htb");
    request.nest(TCA_OPTIONS, [&] {
        if (rate >= UINT32_MAX) request.put_u64(TCA_HTB_RATE64, rate);
        if (ceil >= UINT32_MAX) request.put_u64(TCA_HTB_CEIL64, ceil);
        request.put_struct(TCA_HTB_PARMS, options);
    });
}

// flags: NLM_F_CREATE | NLM_F_EXCL to add, 0 to change.
Result<void> set_classes(Netlink::Socket& socket, int ifindex, const HtbShape& shape, int flags) {
    const std::uint64_t rate = std::max<std::uint64_t>(shape.rate_bps / 8, 1);
    NetlinkRequest root(RTM_NEWTCLASS, flags, ifindex, htb_handle, root_class);
    put_htb_class(root, rate, rate, shape.burst_ns, 0);
    if (auto r = socket.exchange(root, concat("htb class of the pod on ifindex ", ifindex)); !r) return r;
    for (const auto& leaf : leaves) {
        NetlinkRequest request(RTM_NEWTCLASS, flags, ifindex, root_class, class_id(leaf.minor));
        put_htb_class(request, std::max<std::uint64_t>(rate * leaf.tenths / 10, 1), rate, shape.*leaf.burst_ns,
                      leaf.priority);
        if (auto r = socket.exchange(request, concat("htb leaf class on ifindex ", ifindex)); !r) return r;
    }
    return {};
}

Result<void> set_leaf_queues(Netlink::Socket& socket, int ifindex, const HtbShape& shape, int flags) {
    for (const auto& leaf : leaves) {
        NetlinkRequest request(RTM_NEWQDISC, flags, ifindex, class_id(leaf.minor), leaf.qdisc_major << 16);
        request.put(TCA_KIND, "bfifo");
        request.put_struct(TCA_OPTIONS, tc_fifo_qopt{.limit = shape.leaf_limit_bytes});
        if (auto r = socket.exchange(request, concat("bfifo queue on ifindex ", ifindex)); !r) return r;
    }
    return {};
}

Qdisc read_qdisc(const nlmsghdr* header) {
    const auto* tc = static_cast<const tcmsg*>(mnl_nlmsg_get_payload(header));
    Qdisc qdisc{.kind = {}, .handle = tc->tcm_handle, .parent = tc->tcm_parent};
    for_each_attribute(header, sizeof(tcmsg), [&](const nlattr* attribute) {
        if (mnl_attr_get_type(attribute) == TCA_KIND) qdisc.kind = mnl_attr_get_str(attribute);
    });
    return qdisc;
}

// A root that somebody chose; the kernel's default has no handle.
Result<void> refuse_foreign_root(Netlink& netlink, int ifindex) {
    const auto root = netlink.root_qdisc(ifindex);
    if (!root) return root.error();
    if (*root && (*root)->handle != 0)
        return fail_errno(Code::kernel, EEXIST, "root qdisc ", (*root)->kind, " on ifindex ", ifindex);
    return {};
}

constexpr int add_flags = NLM_F_CREATE | NLM_F_EXCL;

}  // namespace

Result<std::vector<Qdisc>> Netlink::qdiscs(int ifindex) {
    // Asking for one device still lists every device of the namespace.
    NetlinkRequest request(RTM_GETQDISC, NLM_F_DUMP, ifindex, 0, 0);
    std::vector<Qdisc> out;
    auto listed = socket_->exchange(request, concat("qdiscs of ifindex ", ifindex), [&](const nlmsghdr* header) {
        if (header->nlmsg_type != RTM_NEWQDISC) return;
        const auto* tc = static_cast<const tcmsg*>(mnl_nlmsg_get_payload(header));
        if (tc->tcm_ifindex == ifindex) out.push_back(read_qdisc(header));
    });
    if (!listed) return listed.error();
    return out;
}

Result<std::optional<Qdisc>> Netlink::root_qdisc(int ifindex) {
    // Without echo older kernels answer to listeners of the group only.
    NetlinkRequest request(RTM_GETQDISC, NLM_F_ECHO, ifindex, TC_H_ROOT, 0);
    std::optional<Qdisc> root;
    auto answered = socket_->exchange(request, concat("root qdisc of ifindex ", ifindex), [&](const nlmsghdr* header) {
        if (header->nlmsg_type == RTM_NEWQDISC) root = read_qdisc(header);
    });
    if (!answered && answered.error().sys != ENOENT) return answered.error();
    return root;
}

Result<void> Netlink::add_htb(int ifindex, const HtbShape& shape) {
    if (auto r = refuse_foreign_root(*this, ifindex); !r) return r;
    NetlinkRequest request(RTM_NEWQDISC, add_flags, ifindex, TC_H_ROOT, htb_handle);
    request.put(TCA_KIND, "htb");
    tc_htb_glob options{};
    options.version = 3;
    options.rate2quantum = 10;
    options.defcls = NATRA_HTB_HEAVY_MINOR;  // what no program has classified is held back
    request.nest(TCA_OPTIONS, [&] { request.put_struct(TCA_HTB_INIT, options); });
    if (auto r = socket_->exchange(request, concat("htb qdisc on ifindex ", ifindex)); !r) return r;
    auto filled = set_classes(*socket_, ifindex, shape, add_flags);
    if (filled) filled = set_leaf_queues(*socket_, ifindex, shape, add_flags);
    if (!filled) (void)delete_root(ifindex, htb_handle);
    return filled;
}

Result<void> Netlink::change_htb(int ifindex, const HtbShape& shape) {
    // Room first, then rate: a faster class must not find its old, short queue.
    if (auto r = set_leaf_queues(*socket_, ifindex, shape, 0); !r) return r;
    return set_classes(*socket_, ifindex, shape, 0);
}

Result<void> Netlink::add_fq(int ifindex, const FqShape& shape) {
    if (auto r = refuse_foreign_root(*this, ifindex); !r) return r;
    NetlinkRequest request(RTM_NEWQDISC, add_flags, ifindex, TC_H_ROOT, fq_handle);
    request.put(TCA_KIND, "fq");
    request.nest(TCA_OPTIONS, [&] {
        request.put_u32(TCA_FQ_PLIMIT, shape.limit);
        request.put_u32(TCA_FQ_FLOW_PLIMIT, shape.flow_limit);
    });
    return socket_->exchange(request, concat("fq qdisc on ifindex ", ifindex));
}

Result<void> Netlink::delete_root(int ifindex, std::uint32_t handle) {
    NetlinkRequest request(RTM_DELQDISC, 0, ifindex, TC_H_ROOT, handle);
    auto r = socket_->exchange(request, concat("delete root qdisc of ifindex ", ifindex));
    // ENOENT: no root but the default; EINVAL: another handle sits there; ENODEV: the device is gone.
    if (!r && (r.error().sys == ENOENT || r.error().sys == EINVAL || r.error().sys == ENODEV)) return {};
    return r;
}

Result<bool> Netlink::ensure_clsact(int ifindex) {
    NetlinkRequest request(RTM_NEWQDISC, add_flags, ifindex, TC_H_CLSACT, TC_H_MAKE(TC_H_CLSACT, 0));
    request.put(TCA_KIND, "clsact");
    const auto added = socket_->exchange(request, concat("clsact qdisc on ifindex ", ifindex));
    if (added) return true;
    if (added.error().sys != EEXIST) return added.error();
    const auto present = qdiscs(ifindex);
    if (!present) return present.error();
    const auto same_place = [](const Qdisc& q) { return q.parent == TC_H_CLSACT; };
    const auto it = std::find_if(present->begin(), present->end(), same_place);
    if (it != present->end() && it->kind == "clsact") return false;
    return added.error();
}

Result<void> Netlink::delete_clsact(int ifindex) {
    NetlinkRequest request(RTM_DELQDISC, 0, ifindex, TC_H_CLSACT, TC_H_MAKE(TC_H_CLSACT, 0));
    auto r = socket_->exchange(request, concat("delete clsact qdisc of ifindex ", ifindex));
    if (!r && (r.error().sys == ENOENT || r.error().sys == EINVAL || r.error().sys == ENODEV)) return {};
    return r;
}

}  // namespace natra::datapath
