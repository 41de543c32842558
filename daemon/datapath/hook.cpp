// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/hook.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/pkt_sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "daemon/util/files.hpp"

namespace natra::datapath {
namespace {

using Code = Error::Code;

// Present in kernel headers since 6.6; older headers may build us for a newer kernel.
constexpr auto tcx_ingress = static_cast<bpf_attach_type>(46);
constexpr auto tcx_egress = static_cast<bpf_attach_type>(47);
constexpr std::uint32_t link_before = 1U << 3;  // BPF_F_BEFORE

constexpr std::string_view filter_name = "natra";
// First in the chain: a foreign filter that accepts a packet ends it.
constexpr std::uint32_t filter_priority = 1;

bpf_attach_type tcx_type(const HookPoint& point) { return point.device_egress ? tcx_egress : tcx_ingress; }

std::uint32_t clsact_parent(const HookPoint& point) {
    const std::uint32_t minor = point.device_egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS;
    return TC_H_MAKE(TC_H_CLSACT, minor);
}

std::string where(const HookPoint& point) {
    return concat(point.device_egress ? "egress of " : "ingress of ", point.device);
}

constexpr const char* no_tcx_reason = "clsact: this kernel has no tcx";
constexpr const char* alone_reason = "clsact: the hook is ours alone";
constexpr const char* other_tcx_reason = "tcx: other tcx programs are on this hook";
constexpr const char* other_qdisc_reason = "tcx: another qdisc holds the place of clsact";
constexpr const char* other_filters_reason = "tcx: others use clsact on this device, and tcx runs before it";

bool is_ours(const BpfFilter& filter) { return filter.kind == "bpf" && filter.name == filter_name; }

// Whether programs but this one are on the tcx hook.
bool others_on_tcx(const HookPoint& point, std::uint32_t prog_id) {
    return point.worker.run(point.netns_fd, [&] {
        std::uint32_t ids[64]{};
        struct bpf_prog_query_opts query {};
        query.sz = sizeof query;
        query.prog_ids = ids;
        query.count = std::size(ids);
        if (bpf_prog_query_opts(point.ifindex, tcx_type(point), &query) < 0) return errno == ENOSPC;
        return std::any_of(ids, ids + query.count, [&](std::uint32_t id) { return id != prog_id; });
    });
}

// Programs that others have on the tcx hook; 0 on a kernel without tcx.
std::uint32_t tcx_programs(const HookPoint& point) {
    return point.worker.run(point.netns_fd, [&]() -> std::uint32_t {
        struct bpf_prog_query_opts query {};
        query.sz = sizeof query;
        if (bpf_prog_query_opts(point.ifindex, tcx_type(point), &query) < 0) return 0;
        return query.count;
    });
}

Result<AttachedHook> attach_tcx(const HookPoint& point, int prog_fd, std::string reason) {
    struct Created {
        int fd;
        int error;
    };
    const auto created = point.worker.run(point.netns_fd, [&]() -> Created {
        bpf_link_create_opts options{};
        options.sz = sizeof options;
        options.flags = link_before;  // at the head: those behind us still run
        const int fd = bpf_link_create(prog_fd, point.ifindex, tcx_type(point), &options);
        return {fd, fd < 0 ? errno : 0};
    });
    if (created.fd < 0) return fail_errno(Code::kernel, created.error, "attach tcx to ", where(point));
    const UniqueFd link(created.fd);
    if (bpf_obj_pin(link.get(), point.link_pin.c_str()) < 0)
        return fail_errno(Code::kernel, errno, "pin ", point.link_pin);  // closing the link detaches
    return AttachedHook{{.kind = HookKind::tcx, .device_egress = point.device_egress}, std::move(reason)};
}

// Removes what a natrad that died between attaching and recording left on a device that
// no attachment owns. False if filters of others remain, on either hook.
bool drop_leftovers(const HookPoint& point) {
    bool alone = true;
    for (const std::uint32_t minor : {TC_H_MIN_INGRESS, TC_H_MIN_EGRESS}) {
        const auto filters = point.netlink.filters(point.ifindex, TC_H_MAKE(TC_H_CLSACT, minor));
        if (!filters) return false;
        for (const auto& filter : *filters) {
            if (!is_ours(filter) || !point.netlink.delete_filter(point.ifindex, filter)) alone = false;
        }
    }
    return alone;
}

Result<AttachedHook> attach_clsact(const HookPoint& point, int prog_fd, bool made, std::string reason) {
    auto filter =
        point.netlink.add_bpf_filter(point.ifindex, clsact_parent(point), filter_priority, prog_fd, filter_name);
    // Another kind of classifier owns that priority: let the kernel choose one.
    if (!filter && (filter.error().sys == EEXIST || filter.error().sys == EINVAL))
        filter = point.netlink.add_bpf_filter(point.ifindex, clsact_parent(point), 0, prog_fd, filter_name);
    if (!filter) {
        if (made) (void)point.netlink.delete_clsact(point.ifindex);
        return filter.error();
    }
    return AttachedHook{{.kind = HookKind::clsact,
                         .device_egress = point.device_egress,
                         .made_clsact = made,
                         .priority = filter->priority,
                         .handle = filter->handle},
                        std::move(reason)};
}

}  // namespace

Result<AttachedHook> attach_hook(const HookPoint& point, int prog_fd, AttachMode mode, bool kernel_has_tcx,
                                 bool clsact_is_ours) {
    if (mode == AttachMode::tcx && !kernel_has_tcx) return fail(Code::unsupported, "this kernel has no tcx");
    if (mode == AttachMode::tcx) return attach_tcx(point, prog_fd, "tcx by configuration");
    const bool automatic = mode == AttachMode::automatic && kernel_has_tcx;
    if (automatic && tcx_programs(point) > 0) return attach_tcx(point, prog_fd, other_tcx_reason);
    const auto made = point.netlink.ensure_clsact(point.ifindex);
    if (!made) {
        if (automatic && made.error().sys == EEXIST) return attach_tcx(point, prog_fd, other_qdisc_reason);
        return made.error();
    }
    // An empty clsact is what an earlier natrad left, or what nobody misses.
    const bool ours = *made || (!clsact_is_ours && drop_leftovers(point));
    if (automatic && !ours && !clsact_is_ours) return attach_tcx(point, prog_fd, other_filters_reason);
    return attach_clsact(point, prog_fd, ours,
                         mode == AttachMode::clsact ? "clsact by configuration"
                         : kernel_has_tcx           ? alone_reason
                                                    : no_tcx_reason);
}

Result<AttachedHook> attach_as_wished(const HookPoint& point, int prog_fd, const Wish& wish, bool kernel_has_tcx,
                                      bool shared_clsact) {
    if (wish.attach_mode == AttachMode::automatic)
        return attach_hook(point, prog_fd, AttachMode::automatic, kernel_has_tcx, shared_clsact);
    auto wished = attach_hook(point, prog_fd, wish.attach_mode, kernel_has_tcx, shared_clsact);
    if (wished) {
        wished->reason = concat(to_string(wish.attach_mode), " by ", wish.attach_mode_by);
        return wished;
    }
    auto other = attach_hook(point, prog_fd, AttachMode::automatic, kernel_has_tcx, shared_clsact);
    if (!other) return wished;
    other->reason +=
        concat(" (", to_string(wish.attach_mode), ", by ", wish.attach_mode_by, ": ", wished.error().what, ")");
    return other;
}

Result<PreferredHook> preferred_hook(const HookPoint& point, std::uint32_t prog_id, bool kernel_has_tcx) {
    if (!kernel_has_tcx) return PreferredHook{HookKind::clsact, no_tcx_reason};
    if (others_on_tcx(point, prog_id)) return PreferredHook{HookKind::tcx, other_tcx_reason};
    const auto qdiscs = point.netlink.qdiscs(point.ifindex);
    if (!qdiscs) return qdiscs.error();
    if (std::any_of(qdiscs->begin(), qdiscs->end(), [](const Qdisc& q) { return q.kind == "ingress"; }))
        return PreferredHook{HookKind::tcx, other_qdisc_reason};
    for (const std::uint32_t minor : {TC_H_MIN_INGRESS, TC_H_MIN_EGRESS}) {
        const auto filters = point.netlink.filters(point.ifindex, TC_H_MAKE(TC_H_CLSACT, minor));
        if (!filters) return filters.error();
        if (!std::all_of(filters->begin(), filters->end(), is_ours))
            return PreferredHook{HookKind::tcx, other_filters_reason};
    }
    return PreferredHook{HookKind::clsact, alone_reason};
}

void drop_own_filters(const HookPoint& point) {
    const auto filters = point.netlink.filters(point.ifindex, clsact_parent(point));
    if (!filters) return;
    for (const auto& filter : *filters)
        if (is_ours(filter)) (void)point.netlink.delete_filter(point.ifindex, filter);
}

void silence_hook(const HookPoint& point, const HookRecord& record) {
    if (record.kind != HookKind::tcx) return;
    const UniqueFd link(bpf_obj_get(point.link_pin.c_str()));
    if (link) (void)bpf_link_detach(link.get());
}

Result<void> detach_hook(const HookPoint& point, const HookRecord& record, bool keep_clsact) {
    if (record.kind == HookKind::tcx) return files::remove(point.link_pin);  // the pin holds the only reference
    const BpfFilter filter{.parent = clsact_parent(point), .priority = record.priority, .handle = record.handle};
    if (auto r = point.netlink.delete_filter(point.ifindex, filter); !r) return r;
    if (!record.made_clsact || keep_clsact) return {};
    // Others may have come to the qdisc that we made; their filters outweigh our tidiness.
    for (const std::uint32_t minor : {TC_H_MIN_INGRESS, TC_H_MIN_EGRESS}) {
        const auto others = point.netlink.filters(point.ifindex, TC_H_MAKE(TC_H_CLSACT, minor));
        if (!others) return others.error();
        if (!others->empty()) return {};
    }
    return point.netlink.delete_clsact(point.ifindex);
}

Result<bool> hook_in_force(const HookPoint& point, const HookRecord& record, std::uint32_t prog_id) {
    if (record.kind == HookKind::clsact) {
        const auto filters = point.netlink.filters(point.ifindex, clsact_parent(point));
        if (!filters) return filters.error();
        return std::any_of(filters->begin(), filters->end(), [&](const auto& f) { return f.prog_id == prog_id; });
    }
    const UniqueFd link(bpf_obj_get(point.link_pin.c_str()));
    if (!link) return false;
    bpf_link_info info{};
    __u32 length = sizeof info;
    if (bpf_link_get_info_by_fd(link.get(), &info, &length) < 0)
        return fail_errno(Code::kernel, errno, "read ", point.link_pin);
    // A link whose device is gone stays, with ifindex 0. tcx.ifindex is the first member of its part of the union.
    return info.prog_id == prog_id && info.netns.netns_ino == static_cast<__u32>(point.ifindex);
}

}  // namespace natra::datapath
