// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/shaper.hpp"

#include <algorithm>
#include <cerrno>

#include "daemon/datapath/class_filter.hpp"

namespace natra::datapath {
namespace {

// As add_htb(), with the filter.
Result<void> add_whole_htb(Netlink& netlink, int ifindex, const HtbShape& shape, std::uint32_t replaces = 0) {
    if (auto r = netlink.add_htb(ifindex, shape, replaces); !r) return r;
    auto filtered = add_class_filter(netlink, ifindex);
    if (!filtered) (void)netlink.delete_root(ifindex, htb_handle);
    return filtered;
}

}  // namespace

std::vector<Shaper> shaper_candidates(const Features& features, const Wish& wish) {
    std::vector<Shaper> out;
    if (wish.shaper) out.push_back(*wish.shaper);
    const auto add = [&](Shaper shaper) {
        if (shaper != wish.shaper) out.push_back(shaper);
    };
    if (features.fq && !wish.avoid_edt) add(Shaper::edt);
    if (features.htb) add(Shaper::htb);
    add(Shaper::police);
    return out;
}

std::string shaper_reason(Shaper shaper, const Wish& wish, std::string_view skipped) {
    if (shaper == wish.shaper) return concat(to_string(shaper), " by ", wish.shaper_by);
    const auto unless = wish.avoid_edt ? concat(" without edt, by ", wish.shaper_by) : std::string();
    return concat(to_string(shaper), ": best that works here", unless, skipped);
}

std::uint32_t shaper_handle(Shaper shaper) { return shaper == Shaper::edt ? fq_handle : htb_handle; }

bool on_pod_side(Shaper shaper, Direction direction) {
    return direction == Direction::egress && shaper != Shaper::police;
}

namespace {

// The program drops what would wait longer than its horizon: a queue that holds twice that never drops by itself.
double queue_bytes(const Rate& rate, const natra_config& config) {
    return static_cast<double>(rate.rate_bps) / 8 * static_cast<double>(config.horizon_ns) / 1e9 * 2;
}

}  // namespace

FqShape fq_shape(const Rate& rate, const natra_config& config) {
    // No frame of Ethernet is shorter; those between a veth pair may be, hence the factor of 2 in queue_bytes(). What
    // is small keeps the room that flows may need that TCP itself paces.
    constexpr double smallest_packet = 64;
    constexpr double most = 0x7fffffff;
    constexpr FqShape least;
    const auto packets = static_cast<std::uint32_t>(std::min(queue_bytes(rate, config) / smallest_packet, most));
    return {.flow_limit = std::max(packets, least.flow_limit), .limit = std::max(packets, least.limit)};
}

FqShape larger(const FqShape& a, const FqShape& b) {
    return {.flow_limit = std::max(a.flow_limit, b.flow_limit), .limit = std::max(a.limit, b.limit)};
}

HtbShape htb_shape(const Rate& rate, const natra_config& config) {
    // At least 1 MiB: several GSO packets.
    constexpr std::uint64_t least = 1 << 20;
    constexpr std::uint64_t most = 1 << 30;
    const auto bytes = queue_bytes(rate, config);
    const auto limit = bytes >= static_cast<double>(most) ? most : std::max(least, static_cast<std::uint64_t>(bytes));
    // As much credit as the program gives: its clock says how long HTB holds a packet back.
    const auto burst_ns = static_cast<std::uint64_t>(config.burst_ns);
    // What the program lets small flows run ahead, HTB must not hold back: within its own burst
    // a class sends even while the root is in debt, and the heavy class pays that back.
    const auto small_burst_ns = std::max<std::uint64_t>(burst_ns, config.small_allowance_ns);
    return {.rate_bps = rate.rate_bps,
            .burst_ns = burst_ns,
            .small_burst_ns = small_burst_ns,
            .leaf_limit_bytes = static_cast<std::uint32_t>(limit)};
}

Result<void> add_shaper_qdisc(Netlink& netlink, int ifindex, Shaper shaper, const Rate& rate,
                              const natra_config& config) {
    if (shaper == Shaper::police) return {};
    const auto add = [&] {
        return shaper == Shaper::edt ? netlink.add_fq(ifindex, fq_shape(rate, config))
                                     : add_whole_htb(netlink, ifindex, htb_shape(rate, config));
    };
    auto added = add();
    if (added || added.error().sys != EEXIST) return added;
    // Ours from a natrad that died before it recorded the attachment?
    for (const auto handle : {htb_handle, fq_handle})
        if (auto r = netlink.delete_root(ifindex, handle); !r) return r;
    return add();
}

Result<void> replace_shaper_qdisc(Netlink& netlink, int ifindex, Shaper from, Shaper to, const Rate& rate,
                                  const natra_config& before, const natra_config& after) {
    auto replaced = to == Shaper::edt ? netlink.add_fq(ifindex, fq_shape(rate, after), shaper_handle(from))
                                      : add_whole_htb(netlink, ifindex, htb_shape(rate, after), shaper_handle(from));
    if (replaced) return replaced;
    const auto there = shaper_qdisc_in_force(netlink, ifindex, from);
    if (there && !*there) (void)add_shaper_qdisc(netlink, ifindex, from, rate, before);
    return replaced;
}

Result<void> remove_shaper_qdisc(Netlink& netlink, int ifindex, Shaper shaper) {
    if (shaper == Shaper::police) return {};
    return netlink.delete_root(ifindex, shaper_handle(shaper));
}

Result<bool> shaper_qdisc_in_force(Netlink& netlink, int ifindex, Shaper shaper) {
    if (shaper == Shaper::police) return true;
    const auto root = netlink.root_qdisc(ifindex);
    if (!root) return root.error();
    return *root && (*root)->handle == shaper_handle(shaper);
}

}  // namespace natra::datapath
