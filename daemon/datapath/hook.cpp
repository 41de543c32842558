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
#include "daemon/util/may_pass.hpp"

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

// Where the filters of a record are.
std::uint32_t parent_of(const HookPoint& point, HookKind kind) {
    return kind == HookKind::htb ? htb_handle : clsact_parent(point);
}

std::string where(const HookPoint& point) {
    return concat(point.device_egress ? "egress of " : "ingress of ", point.device);
}

constexpr const char* no_tcx_reason = "clsact: this kernel has no tcx";
constexpr const char* alone_reason = "clsact: the hook is ours alone";
constexpr const char* other_tcx_reason = "tcx: other tcx programs are on this hook";
constexpr const char* other_qdisc_reason = "tcx: another qdisc holds the place of clsact";
constexpr const char* other_filters_reason = "tcx: others use clsact on this device, and tcx runs before it";
constexpr const char* on_htb_reason = "htb: another qdisc holds the place of clsact";
constexpr const char* behind_reason = ", behind a foreign classifier that may end the chain";

bool is_ours(const BpfFilter& filter) { return filter.kind == "bpf" && filter.name == filter_name; }

// Whether programs but this one are on the tcx hook.
Result<bool> others_on_tcx(const HookPoint& point, std::uint32_t prog_id) {
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

struct TcxPrograms {
    std::uint32_t count = 0;
    std::uint32_t first = 0;  // id of the one that runs first; 0 if there is none
};

// What is on the tcx hook; nothing on a kernel without tcx.
Result<TcxPrograms> tcx_programs(const HookPoint& point) {
    return point.worker.run(point.netns_fd, [&]() -> TcxPrograms {
        constexpr std::uint32_t most = 64;  // the kernel's own limit
        __u32 ids[most] = {};
        struct bpf_prog_query_opts query {};
        query.sz = sizeof query;
        query.prog_ids = ids;
        query.count = most;
        if (bpf_prog_query_opts(point.ifindex, tcx_type(point), &query) < 0) return {};
        return {.count = query.count, .first = query.count == 0 ? 0 : ids[0]};
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
    if (!created) return created.error();
    if (created->fd < 0) return fail_errno(Code::kernel, created->error, "attach tcx to ", where(point));
    const UniqueFd link(created->fd);
    if (bpf_obj_pin(link.get(), point.link_pin.c_str()) < 0)
        return fail_errno(Code::kernel, errno, "pin ", point.link_pin);  // closing the link detaches
    return AttachedHook{{.kind = HookKind::tcx, .device_egress = point.device_egress}, std::move(reason)};
}

// Removes what a natrad that died between attaching and recording left on a device that
// no attachment owns. False if filters of others remain, on either hook.
bool drop_leftovers(const HookPoint& point, std::uint32_t other_prog) {
    bool alone = true;
    for (const std::uint32_t minor : {TC_H_MIN_INGRESS, TC_H_MIN_EGRESS}) {
        const auto filters = point.netlink.filters(point.ifindex, TC_H_MAKE(TC_H_CLSACT, minor));
        if (!filters) return false;
        for (const auto& filter : *filters) {
            if (other_prog != 0 && filter.prog_id == other_prog) continue;
            if (!is_ours(filter) || !point.netlink.delete_filter(point.ifindex, filter)) alone = false;
        }
    }
    return alone;
}

// The chain's order is the order in which they are listed.
Result<HookState> state_in(const Result<std::vector<BpfFilter>>& filters, std::uint32_t prog_id) {
    if (!filters) return filters.error();
    const auto found =
        std::find_if(filters->begin(), filters->end(), [&](const auto& f) { return f.prog_id == prog_id; });
    if (found == filters->end()) return HookState::absent;
    return found == filters->begin() ? HookState::first : HookState::overtaken;
}

// Where it may be: a foreign classifier of another kind or protocol keeps its priority for itself.
Result<BpfFilter> add_filter(const HookPoint& point, std::uint32_t parent, int prog_fd) {
    Result<BpfFilter> filter = fail(Code::internal, "no priority tried");
    for (const std::uint32_t priority : {filter_priority, filter_priority + 1, 0U}) {
        filter = point.netlink.add_bpf_filter(point.ifindex, parent, priority, prog_fd, filter_name);
        if (filter) return filter;
        const int error = filter.error().sys;
        if (error != EEXIST && error != EINVAL && error != ENOSPC) return filter;
    }
    return filter;
}

Result<AttachedHook> attach_clsact(const HookPoint& point, int prog_fd, bool made, bool alone, std::string reason) {
    auto filter = add_filter(point, clsact_parent(point), prog_fd);
    if (!filter) {
        if (made) (void)point.netlink.delete_clsact(point.ifindex);
        return filter.error();
    }
    AttachedHook out{{.kind = HookKind::clsact,
                      .device_egress = point.device_egress,
                      .made_clsact = made,
                      .priority = filter->priority,
                      .handle = filter->handle},
                     std::move(reason)};
    if (alone) return out;
    const auto others = others_on_tcx(point, filter->prog_id);
    if (!others) {
        (void)point.netlink.delete_filter(point.ifindex, *filter);
        if (made) (void)point.netlink.delete_clsact(point.ifindex);
        return others.error();
    }
    const auto state = state_in(point.netlink.filters(point.ifindex, clsact_parent(point)), filter->prog_id);
    out.first = state && *state == HookState::first && !*others;
    if (!out.first) out.reason += behind_reason;
    return out;
}

// An ingress qdisc takes filters as clsact does, but has no egress hook.
Result<AttachedHook> attach_beside_ingress_qdisc(const HookPoint& point, int prog_fd, const Error& no_clsact) {
    if (!point.device_egress)
        return attach_clsact(point, prog_fd, false, false, "clsact: on the ingress qdisc that was there");
    const auto root = point.netlink.root_qdisc(point.ifindex);
    if (!root) return root.error();
    if (!*root || (*root)->handle != htb_handle) return no_clsact;
    const auto filter = point.netlink.add_bpf_filter(point.ifindex, htb_handle, filter_priority, prog_fd, filter_name);
    if (!filter) return filter.error();
    return AttachedHook{
        {.kind = HookKind::htb, .device_egress = true, .priority = filter->priority, .handle = filter->handle},
        on_htb_reason};
}

// There is no other place for it: another qdisc holds the place of clsact.
Result<AttachedHook> retake_on_htb(const HookPoint& point, int prog_fd, std::uint32_t prog_id) {
    const auto before = point.netlink.filters(point.ifindex, htb_handle);
    if (!before) return before.error();
    const auto filter = add_filter(point, htb_handle, prog_fd);
    if (!filter) return filter.error();
    for (const auto& old : *before)
        if (old.prog_id == prog_id)
            if (auto r = point.netlink.delete_filter(point.ifindex, old); !r) return r.error();
    AttachedHook out{
        {.kind = HookKind::htb, .device_egress = true, .priority = filter->priority, .handle = filter->handle},
        "htb: ahead again after others had come before it"};
    const auto state = state_in(point.netlink.filters(point.ifindex, htb_handle), prog_id);
    out.first = state && *state == HookState::first;
    if (!out.first) out.reason += behind_reason;
    return out;
}

// The filters that are ours at a hook: by program, or by name if that is not known.
Result<void> delete_own_filters(const HookPoint& point, const HookRecord& record, std::uint32_t prog_id) {
    const auto filters = point.netlink.filters(point.ifindex, parent_of(point, record.kind));
    if (!filters) return filters.error();
    for (const auto& filter : *filters) {
        const bool recorded = filter.priority == record.priority && filter.handle == record.handle;
        const bool ours = prog_id != 0 ? filter.prog_id == prog_id : recorded && is_ours(filter);
        if (!ours) continue;
        if (auto r = point.netlink.delete_filter(point.ifindex, filter); !r) return r;
    }
    return {};
}

// Stays on clsact where tcx does not take it.
Result<AttachedHook> move_to_tcx(const HookPoint& point, int prog_fd, AttachedHook on_clsact) {
    auto on_tcx = attach_tcx(point, prog_fd, other_filters_reason);
    if (!on_tcx && may_pass(on_tcx.error())) {
        (void)delete_own_filters(point, on_clsact.record, 0);
        return on_tcx;
    }
    if (!on_tcx) return on_clsact;
    if (!delete_own_filters(point, on_clsact.record, 0)) {
        (void)files::remove(point.link_pin);
        return on_clsact;
    }
    on_tcx->record.made_clsact = on_clsact.record.made_clsact;
    return *std::move(on_tcx);
}

}  // namespace

std::string by_wish(const Wish& wish) { return concat(to_string(wish.attach_mode), " by ", wish.attach_mode_by); }

std::string htb_reason(const Wish& wish) {
    return concat(on_htb_reason,
                  wish.attach_mode == AttachMode::automatic ? "" : concat(" (", by_wish(wish), ": not possible here)"));
}

Result<AttachedHook> attach_hook(const HookPoint& point, int prog_fd, AttachMode mode, bool kernel_has_tcx,
                                 bool clsact_is_ours, std::uint32_t other_prog) {
    if (mode == AttachMode::tcx && !kernel_has_tcx) return fail(Code::unsupported, "this kernel has no tcx");
    if (mode == AttachMode::tcx) return attach_tcx(point, prog_fd, "tcx by configuration");
    const bool automatic = mode == AttachMode::automatic && kernel_has_tcx;
    // Asked before anything is made that an error would have to take away.
    const auto tcx = tcx_programs(point);
    if (!tcx) return tcx.error();
    if (automatic && tcx->count > 0) return attach_tcx(point, prog_fd, other_tcx_reason);
    const auto made = point.netlink.ensure_clsact(point.ifindex);
    if (!made) {
        if (made.error().sys != EEXIST) return made.error();
        if (automatic) return attach_tcx(point, prog_fd, other_qdisc_reason);
        return attach_beside_ingress_qdisc(point, prog_fd, made.error());
    }
    // An empty clsact is what an earlier natrad left, or what nobody misses.
    const bool ours = *made || (!clsact_is_ours && drop_leftovers(point, other_prog));
    if (automatic && !ours && !clsact_is_ours) return attach_tcx(point, prog_fd, other_filters_reason);
    // Before clsact come the programs on tcx, if there may be any here.
    const bool alone = ours && (automatic || tcx->count == 0);
    auto hook = attach_clsact(point, prog_fd, ours, alone,
                              mode == AttachMode::clsact ? "clsact by configuration"
                              : kernel_has_tcx           ? alone_reason
                                                         : no_tcx_reason);
    // The other direction's clsact is ours, but at this hook of it others may be, whom no filter gets ahead of.
    if (hook && !hook->first && automatic) return move_to_tcx(point, prog_fd, *std::move(hook));
    return hook;
}

Result<AttachedHook> attach_as_wished(const HookPoint& point, int prog_fd, const Wish& wish, bool kernel_has_tcx,
                                      bool shared_clsact, std::uint32_t other_prog) {
    if (wish.attach_mode == AttachMode::automatic)
        return attach_hook(point, prog_fd, AttachMode::automatic, kernel_has_tcx, shared_clsact, other_prog);
    auto wished = attach_hook(point, prog_fd, wish.attach_mode, kernel_has_tcx, shared_clsact, other_prog);
    if (wished) {
        const auto reason = wished->record.kind == HookKind::htb ? htb_reason(wish) : by_wish(wish);
        wished->reason = concat(reason, wished->first ? "" : behind_reason);
        return wished;
    }
    auto other = attach_hook(point, prog_fd, AttachMode::automatic, kernel_has_tcx, shared_clsact, other_prog);
    if (!other) return wished;
    other->reason +=
        concat(" (", to_string(wish.attach_mode), ", by ", wish.attach_mode_by, ": ", wished.error().what, ")");
    if (may_pass(wished.error())) other->provisional = concat(to_string(wish.attach_mode), ": ", wished.error().what);
    return other;
}

Result<PreferredHook> preferred_hook(const HookPoint& point, std::uint32_t prog_id, bool kernel_has_tcx) {
    if (!kernel_has_tcx) return PreferredHook{HookKind::clsact, no_tcx_reason};
    const auto others = others_on_tcx(point, prog_id);
    if (!others) return others.error();
    if (*others) return PreferredHook{HookKind::tcx, other_tcx_reason};
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

Result<void> exchange_program(const HookPoint& point, const HookRecord& record, int prog_fd) {
    if (record.kind == HookKind::tcx) {
        const UniqueFd link(bpf_obj_get(point.link_pin.c_str()));
        if (!link) return fail_errno(Code::mismatch, errno, "open ", point.link_pin);
        // Refused for a link that somebody detached.
        if (bpf_link_update(link.get(), prog_fd, nullptr) < 0)
            return fail_errno(Code::mismatch, errno, "put another program on ", point.link_pin);
        return {};
    }
    const auto filters = point.netlink.filters(point.ifindex, parent_of(point, record.kind));
    if (!filters) return filters.error();
    for (const auto& filter : *filters)
        if (is_ours(filter) && filter.priority == record.priority && filter.handle == record.handle)
            return point.netlink.replace_bpf_filter(point.ifindex, filter, prog_fd);
    return fail(Code::mismatch, "no filter of natra's is at the recorded place, ", where(point));
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

Result<AttachedHook> retake_hook(const HookPoint& point, const HookRecord& record, int prog_fd, std::uint32_t prog_id,
                                 AttachMode mode, bool kernel_has_tcx) {
    if (record.kind == HookKind::htb) return retake_on_htb(point, prog_fd, prog_id);
    if (record.kind == HookKind::tcx) {
        // Removing the pin alone detaches at the kernel's leisure, and until then it refuses the program.
        silence_hook(point, record);
        if (auto r = files::remove(point.link_pin); !r) return r.error();
        auto hook = attach_tcx(point, prog_fd, "tcx: at the head again after others had come before it");
        if (hook) hook->record.made_clsact = record.made_clsact;
        return hook;
    }
    if (kernel_has_tcx && mode != AttachMode::clsact) {
        auto moved = attach_tcx(point, prog_fd, "tcx: others had come before it on clsact, and tcx runs before that");
        if (!moved) return moved;
        moved->record.made_clsact = record.made_clsact;
        if (auto r = delete_own_filters(point, record, prog_id); !r) return r.error();
        return moved;
    }
    const auto before = point.netlink.filters(point.ifindex, clsact_parent(point));
    if (!before) return before.error();
    // What is ahead of it is on tcx, which runs before any filter.
    if (const auto state = state_in(before, prog_id); state && *state == HookState::first)
        return AttachedHook{record, concat("clsact", behind_reason), false};
    auto again = attach_clsact(point, prog_fd, false, false, "clsact: ahead again after others had come before it");
    if (!again) return again;
    again->record.made_clsact = record.made_clsact;
    for (const auto& filter : *before)
        if (filter.prog_id == prog_id)
            if (auto r = point.netlink.delete_filter(point.ifindex, filter); !r) return r.error();
    return again;
}

Result<void> detach_hook(const HookPoint& point, const HookRecord& record, std::uint32_t prog_id, bool keep_clsact) {
    if (record.kind == HookKind::tcx) {
        // The pin holds the only reference.
        if (auto r = files::remove(point.link_pin); !r) return r;
    } else if (auto r = delete_own_filters(point, record, prog_id); !r) {
        return r;
    }
    if (!record.made_clsact || keep_clsact) return {};
    // Others may have come to the qdisc that we made; their filters outweigh our tidiness.
    return remove_clsact_if_empty(point);
}

Result<void> remove_clsact_if_empty(const HookPoint& point) {
    for (const std::uint32_t minor : {TC_H_MIN_INGRESS, TC_H_MIN_EGRESS}) {
        const auto others = point.netlink.filters(point.ifindex, TC_H_MAKE(TC_H_CLSACT, minor));
        if (!others) return others.error();
        if (!others->empty()) return {};
    }
    return point.netlink.delete_clsact(point.ifindex);
}

Result<HookState> hook_state(const HookPoint& point, const HookRecord& record, std::uint32_t prog_id) {
    const auto tcx = tcx_programs(point);
    if (!tcx) return tcx.error();
    if (record.kind != HookKind::tcx) {
        auto state = state_in(point.netlink.filters(point.ifindex, parent_of(point, record.kind)), prog_id);
        if (record.kind == HookKind::htb) return state;
        if (state && *state == HookState::first && tcx->count > 0) return HookState::overtaken;
        return state;
    }
    const UniqueFd link(bpf_obj_get(point.link_pin.c_str()));
    if (!link) return HookState::absent;
    bpf_link_info info{};
    __u32 length = sizeof info;
    if (bpf_link_get_info_by_fd(link.get(), &info, &length) < 0)
        return fail_errno(Code::kernel, errno, "read ", point.link_pin);
    // A link whose device is gone stays, with ifindex 0. tcx.ifindex is the first member of its part of the union.
    if (info.prog_id != prog_id || info.netns.netns_ino != static_cast<__u32>(point.ifindex)) return HookState::absent;
    return tcx->first == prog_id ? HookState::first : HookState::overtaken;
}

}  // namespace natra::datapath
