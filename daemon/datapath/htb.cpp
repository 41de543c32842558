// SPDX-License-Identifier: Apache-2.0
// natra's HTB tree: a root class with the pod's total, and below it a class each for small and for heavy
// flows, which lend each other what they leave unused. The filter that puts packets into them is added by itself
// (class_filter.hpp).
#include <linux/pkt_sched.h>

#include <algorithm>
#include <limits>

#include "bpf/natra_abi.h"
#include "daemon/datapath/netlink_socket.hpp"

namespace natra::datapath {
namespace {

constexpr int add_flags = NLM_F_CREATE | NLM_F_EXCL;
constexpr int change_flags = 0;
constexpr std::uint32_t direct_packets = 1000;

constexpr std::uint32_t class_id(std::uint32_t minor) { return NATRA_HTB_MAJOR << 16 | minor; }
constexpr std::uint32_t root_class = class_id(NATRA_HTB_ROOT_MINOR);

struct Leaf {
    std::string_view name;
    std::uint32_t minor;
    std::uint32_t queue_handle;
    std::uint32_t priority;  // 0 is served first
    std::uint64_t tenths;    // guaranteed share of the rate
    std::uint64_t HtbShape::*burst_ns;
};
constexpr Leaf leaves[] = {{"small", NATRA_HTB_SMALL_MINOR, 0x4e430000, 0, 8, &HtbShape::small_burst_ns},
                           {"heavy", NATRA_HTB_HEAVY_MINOR, 0x4e440000, 1, 2, &HtbShape::burst_ns}};

// rate and ceil in byte/s.
struct HtbClass {
    std::string_view name;
    std::uint32_t parent;
    std::uint32_t id;
    std::uint64_t rate;
    std::uint64_t ceil;
    std::uint64_t burst_ns;
    std::uint32_t priority;
};

std::uint32_t saturated(std::uint64_t value) {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(value, std::numeric_limits<std::uint32_t>::max()));
}

// HTB takes its buckets as the time to fill them, in ticks of 64 ns (PSCHED_SHIFT): at most 275 s.
std::uint32_t bucket_ticks(std::uint64_t burst_ns, std::uint64_t bytes_per_second) {
    // At least a full frame, or a class would have to wait for every packet.
    constexpr std::uint64_t frame_byte_ns = 1514 * 1'000'000'000ULL;
    constexpr std::uint64_t tick_ns = 64;
    return saturated(std::max(burst_ns, frame_byte_ns / bytes_per_second) / tick_ns + 1);
}

Result<void> set_class(Netlink::Socket& socket, int ifindex, const HtbClass& c, int flags) {
    tc_htb_opt options{};
    // Link layers that pad would need rate tables.
    options.rate.linklayer = TC_LINKLAYER_ETHERNET;
    options.ceil.linklayer = TC_LINKLAYER_ETHERNET;
    options.rate.rate = saturated(c.rate);
    options.ceil.rate = saturated(c.ceil);
    options.buffer = bucket_ticks(c.burst_ns, c.rate);
    options.cbuffer = bucket_ticks(c.burst_ns, c.ceil);
    // A GSO packet of 64 kB a turn, at any rate: HTB would derive a quantum from the rate, and warn about it.
    options.quantum = 65536;
    options.prio = c.priority;
    NetlinkRequest request(RTM_NEWTCLASS, flags, ifindex, c.parent, c.id);
    request.put(TCA_KIND, "htb");
    request.nest(TCA_OPTIONS, [&] {
        request.put_u64(TCA_HTB_RATE64, c.rate);
        request.put_u64(TCA_HTB_CEIL64, c.ceil);
        request.put_struct(TCA_HTB_PARMS, options);
    });
    return socket.exchange(request, concat("set ", c.name, " htb class on ifindex ", ifindex));
}

Result<void> set_classes(Netlink::Socket& socket, int ifindex, const HtbShape& shape, int flags) {
    const std::uint64_t rate = std::max<std::uint64_t>(shape.rate_bps / 8, 1);
    const HtbClass root{"root", htb_handle, root_class, rate, rate, shape.burst_ns, 0};
    if (auto r = set_class(socket, ifindex, root, flags); !r) return r;
    for (const auto& leaf : leaves) {
        // Neither 0 nor an overflow at any rate.
        const auto share = std::max<std::uint64_t>(rate / 10 * leaf.tenths + rate % 10 * leaf.tenths / 10, 1);
        const HtbClass c{leaf.name, root_class, class_id(leaf.minor), share, rate, shape.*leaf.burst_ns, leaf.priority};
        if (auto r = set_class(socket, ifindex, c, flags); !r) return r;
    }
    return {};
}

Result<void> set_leaf_queues(Netlink::Socket& socket, int ifindex, const HtbShape& shape, int flags) {
    for (const auto& leaf : leaves) {
        NetlinkRequest request(RTM_NEWQDISC, flags, ifindex, class_id(leaf.minor), leaf.queue_handle);
        request.put(TCA_KIND, "bfifo");
        request.put_struct(TCA_OPTIONS, tc_fifo_qopt{.limit = shape.leaf_limit_bytes});
        if (auto r =
                socket.exchange(request, concat("set bfifo queue of ", leaf.name, " htb class on ifindex ", ifindex));
            !r)
            return r;
    }
    return {};
}

}  // namespace

Result<void> Netlink::add_htb(int ifindex, const HtbShape& shape, std::uint32_t replaces) {
    if (auto r = expect_root(ifindex, replaces); !r) return r;
    NetlinkRequest request(RTM_NEWQDISC, root_flags(replaces), ifindex, TC_H_ROOT, htb_handle);
    request.put(TCA_KIND, "htb");
    tc_htb_glob options{};
    options.version = 3;
    options.rate2quantum = 10;
    options.defcls = NATRA_HTB_HEAVY_MINOR;  // what no program has classified is held back
    request.nest(TCA_OPTIONS, [&] {
        request.put_struct(TCA_HTB_INIT, options);
        // What is not limited; as many as the device has room for by default, which may be none.
        request.put_u32(TCA_HTB_DIRECT_QLEN, direct_packets);
    });
    if (auto r = add_root(request, ifindex, "htb"); !r) return r;
    auto filled = set_classes(*socket_, ifindex, shape, add_flags);
    if (filled) filled = set_leaf_queues(*socket_, ifindex, shape, add_flags);
    if (!filled) (void)delete_root(ifindex, htb_handle);
    return filled;
}

Result<void> Netlink::change_htb(int ifindex, const HtbShape& shape) {
    // Room first, then rate: a faster class must not find its old, short queue.
    if (auto r = set_leaf_queues(*socket_, ifindex, shape, change_flags); !r) return r;
    return set_classes(*socket_, ifindex, shape, change_flags);
}

}  // namespace natra::datapath
