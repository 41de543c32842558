// SPDX-License-Identifier: Apache-2.0
// Engine: another hook or shaper for a live attachment, under traffic.
//
// The program instance stays, with its clocks and counters; only where it sits, what holds the packets
// back and its configuration change. At every moment one of the two shapers holds the rate:
//
// - While qdiscs or hooks change the program runs cautiously: it lets no more wait than a qdisc can lose without
//   harm, so it holds the rate by itself but for that much, whatever qdisc is there or is not. It begins so some
//   time before (prepare_switch()): what waited until then has left when qdiscs change.
// - HTB holds the rate by itself as soon as it has its classes: they come before the program relies on them.
// - Where two hooks are in place both charge the clocks: the pod gets half its rate for these milliseconds.
#include "daemon/datapath/engine.hpp"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <filesystem>

#include "daemon/datapath/placement.hpp"
#include "daemon/datapath/shaper.hpp"
#include "daemon/util/files.hpp"
#include "daemon/util/log.hpp"
#include "daemon/util/may_pass.hpp"

namespace natra::datapath {
namespace {

using Code = Error::Code;

// What may be lost with a qdisc: 10 ms of the rate, or one segment, without which a flow may stall.
std::uint64_t expendable_ns(const natra_config& config) {
    constexpr std::uint64_t least_ns = 10'000'000;
    constexpr std::uint64_t segment_bytes = 65536;
    return std::max<std::uint64_t>(least_ns, segment_bytes * config.total_mult >> config.total_shift);
}

natra_config cautious(natra_config config) {
    // The last packet that is let in comes on top of the horizon.
    const auto horizon_ns = expendable_ns(config) * 3 / 4;
    config.horizon_ns = std::min<std::uint64_t>(config.horizon_ns, horizon_ns);
    config.ce_ns = std::min<std::uint64_t>(config.ce_ns, horizon_ns / 2);
    return config;
}

std::uint64_t expendable_bytes(const natra_config& config) {
    return static_cast<std::uint64_t>(
        std::ldexp(static_cast<double>(expendable_ns(config)) / static_cast<double>(config.total_mult),
                   static_cast<int>(config.total_shift)));
}

// What the switch will try first. What the kernel lacks it will not even begin with.
Shaper next_shaper(const AttachmentRecord& record, Direction direction, const Features& features, const Wish& wish) {
    if (!has_queue(record, direction)) return Shaper::police;
    for (const auto shaper : shaper_candidates(features, wish)) {
        const bool missing = (shaper == Shaper::edt && !features.fq) || (shaper == Shaper::htb && !features.htb);
        if (!missing) return shaper;
    }
    return Shaper::police;
}

}  // namespace

Drain Engine::prepare_switch(const Attached& attached, const Wish& wish) {
    Drain drain;
    std::optional<PodSide> pod;
    if (auto entered = enter(attached.record)) pod.emplace(*std::move(entered));
    for (const auto direction : directions) {
        const auto& shaping = attached.record.of(direction);
        if (!shaping || shaping->backstop || shaping->shaper == Shaper::police) continue;
        if (shaping->hook.kind == HookKind::htb || (shaping->pod_side && !pod)) continue;
        if (next_shaper(attached.record, direction, features_, wish) == shaping->shaper &&
            next_hook(attached, direction, wish, pod ? &*pod : nullptr) == shaping->hook.kind)
            continue;
        const auto config = config_for(attached.record, shaping->rate, shaping->shaper, direction);
        attached.instance(direction)->configure(cautious(config));
        drain.of(direction) = expendable_bytes(config);
    }
    return drain;
}

// What a switch that leaves the shaper will try.
HookKind Engine::next_hook(const Attached& attached, Direction direction, const Wish& wish, PodSide* pod) {
    const auto& shaping = *attached.record.of(direction);
    if (wish.attach_mode == AttachMode::clsact) return HookKind::clsact;
    if (wish.attach_mode == AttachMode::tcx) return features_.tcx ? HookKind::tcx : shaping.hook.kind;
    const auto where = point(attached.record, direction, shaping.pod_side, shaping.hook.device_egress, pod);
    const auto preferred = preferred_hook(where, program_of(attached, direction), features_.tcx);
    return preferred ? preferred->kind : shaping.hook.kind;
}

Result<void> Engine::switch_to(Attached& attached, const Wish& wish, const Insist& insist) {
    const auto before = attached.record;
    std::optional<PodSide> pod;
    if (auto entered = enter(before)) pod.emplace(*std::move(entered));
    auto* const side = pod ? &*pod : nullptr;
    attached.record.wish = wish;
    Result<void> switched;
    for (const auto direction : directions) {
        if (!attached.record.of(direction)) continue;
        // What took over from a pod that does not leave its own side alone stays until its limit is set anew.
        if (attached.record.of(direction)->backstop) continue;
        if (direction == Direction::ingress && attached.record.past_host_side) continue;
        switched = switch_direction(attached, direction, insist, side);
        if (!switched) break;
    }
    if (!switched) {
        for (const auto undo : directions) {
            if (!attached.record.of(undo)) continue;
            if (auto r = switch_back(attached, undo, *before.of(undo), side); !r)
                log::error(concat(before.id, ": restore ", to_string(undo), ": ", r.error().what));
        }
        attached.record.wish = before.wish;
    }
    // Whether there was a switch or only the preparation for one.
    refresh(attached);
    return switched;
}

Result<void> Engine::switch_direction(Attached& attached, Direction direction, const Insist& insist, PodSide* pod) {
    const auto& wish = attached.record.wish;
    const auto& shaping = *attached.record.of(direction);
    if (insist.attach_mode && wish.attach_mode == AttachMode::tcx && !features_.tcx)
        return fail(Code::unsupported, "AttachMode: \"tcx\": kernel ", features_.kernel, " has no tcx");
    std::string skipped;
    std::optional<Error> last;
    const bool queued = has_queue(attached.record, direction);
    if (insist.shaper && wish.shaper && !queued && wish.shaper != Shaper::police)
        return fail(Code::unsupported, "Shaper: \"", to_string(*wish.shaper),
                    "\": no queue leads to the pod on its side");
    const auto candidates = queued ? shaper_candidates(features_, wish) : std::vector<Shaper>{Shaper::police};
    for (const auto shaper : candidates) {
        auto r = shaper == shaping.shaper ? Result<void>() : switch_shaper(attached, direction, shaper, pod);
        last.reset();
        if (r) break;
        last = std::move(r).error();
        if (insist.shaper && shaper == wish.shaper) break;
        // What is in force is no worse than the next one, and this one may be had soon.
        if (may_pass(*last)) return *last;
        skipped += concat(" (", to_string(shaper), ": ", last->what, ")");
    }
    if (last && insist.shaper && wish.shaper)
        return Error{last->code, last->sys, concat("Shaper: \"", to_string(*wish.shaper), "\": ", last->what)};
    if (last) return *last;
    auto hook_reason = choose_hook(attached, direction, insist, pod);
    if (!hook_reason) return hook_reason.error();
    attached.record.of(direction)->reason = {
        .shaper = queued ? shaper_reason(shaping.shaper, wish, skipped)
                         : concat(to_string(shaping.shaper), ": no queue leads to the pod on its side"),
        .hook = *hook_reason};
    attached.record.of(direction)->provisional.clear();
    if (const auto unmet = unmet_wish(attached.record, direction); !unmet.empty())
        log::warning(concat(attached.record.id, ": ", to_string(direction), ": ", unmet));
    return {};
}

// Back to what it was before; reasons and all.
Result<void> Engine::switch_back(Attached& attached, Direction direction, const ShapingRecord& before, PodSide* pod) {
    auto& shaping = *attached.record.of(direction);
    if (shaping.shaper != before.shaper)
        if (auto r = switch_shaper(attached, direction, before.shaper, pod); !r) return r;
    const auto mode = before.hook.kind == HookKind::tcx ? AttachMode::tcx : AttachMode::clsact;
    if (shaping.hook.kind != before.hook.kind)
        if (auto r = switch_hook(attached, direction, mode, pod); !r) return r;
    shaping.reason = before.reason;
    shaping.provisional = before.provisional;
    return {};
}

// The hook that the wish asks for, or the best; the reason for it.
Result<std::string> Engine::choose_hook(Attached& attached, Direction direction, const Insist& insist, PodSide* pod) {
    const auto& wish = attached.record.wish;
    const auto& shaping = *attached.record.of(direction);
    const auto on_htb = [&]() -> Result<std::string> {
        if (!insist.attach_mode || wish.attach_mode == AttachMode::automatic) return htb_reason(wish);
        return fail(Code::unsupported, "AttachMode: \"", to_string(wish.attach_mode),
                    "\": another qdisc holds the place of clsact");
    };
    // There is no other place for it.
    if (shaping.hook.kind == HookKind::htb) return on_htb();
    std::string unmet;
    if (wish.attach_mode != AttachMode::automatic) {
        const auto by = by_wish(wish);
        if (to_string(wish.attach_mode) == to_string(shaping.hook.kind)) return by;
        auto switched = switch_hook(attached, direction, wish.attach_mode, pod);
        if (switched) return shaping.hook.kind == HookKind::htb ? on_htb() : Result<std::string>(by);
        if (insist.attach_mode || may_pass(switched.error())) return switched.error();
        unmet = concat(" (", by, ": ", switched.error().what, ")");
    }
    if (shaping.pod_side && pod == nullptr) return fail(Code::no_device, "its network namespace cannot be entered");
    const auto where = point(attached.record, direction, shaping.pod_side, shaping.hook.device_egress, pod);
    auto preferred = preferred_hook(where, attached.instance(direction)->prog_id(), features_.tcx);
    if (!preferred) return preferred.error();
    if (preferred->kind != shaping.hook.kind) {
        const auto mode = preferred->kind == HookKind::tcx ? AttachMode::tcx : AttachMode::clsact;
        if (auto r = switch_hook(attached, direction, mode, pod); !r) return r.error();
    }
    return preferred->reason + unmet;
}

Result<void> Engine::switch_hook(Attached& attached, Direction direction, AttachMode mode, PodSide* pod) {
    auto& record = attached.record;
    auto& shaping = *record.of(direction);
    if (auto r = begin_switch(attached, direction, shaping.pod_side, pod); !r) return r;
    const auto where = point(record, direction, shaping.pod_side, shaping.hook.device_egress, pod);
    const bool shared = shares_clsact(record, direction, shaping.pod_side);
    auto& instance = *attached.instance(direction);
    // The kernel empties all qdiscs of a device that gets a clsact qdisc or loses it.
    if (shaping.shaper != Shaper::police)
        instance.configure(cautious(config_for(record, shaping.rate, shaping.shaper, direction)));
    auto hook =
        attach_hook(where, instance.prog_fd(), mode, features_.tcx, shared, program_of(attached, opposite(direction)));
    if (!hook) return hook.error();
    if (!hook->first && shaping.shaper != Shaper::htb) {
        (void)detach_hook(where, hook->record, 0, shared);
        return fail(Code::unavailable, "a foreign classifier runs first at ", to_string(hook->record.kind), " ",
                    where.device);
    }
    hook->record.behind = !hook->first;
    silence_hook(where, shaping.hook);
    // As long as both were there, each packet was charged twice. What waits in fq was given its time by both.
    if (shaping.shaper == Shaper::htb)
        if (const auto queued = queued_bytes(where, shaping.shaper)) instance.behind_at_most(*queued);
    if (auto r = detach_hook(where, shaping.hook, instance.prog_id(), shared); !r) {
        (void)detach_hook(where, hook->record, instance.prog_id(), shared);
        return r;
    }
    shaping.hook = hook->record;
    inherit_clsact(record, direction);
    return {};
}

Result<void> Engine::switch_shaper(Attached& attached, Direction direction, Shaper target, PodSide* pod) {
    if (target == Shaper::edt && !features_.fq)
        return fail(Code::unsupported, "kernel ", features_.kernel, " has no sch_fq");
    if (target == Shaper::htb && !features_.htb)
        return fail(Code::unsupported, "kernel ", features_.kernel, " has no sch_htb");
    auto& shaping = *attached.record.of(direction);
    if (shaping.hook.kind == HookKind::htb)
        return fail(Code::unsupported,
                    "the program sits on its HTB qdisc, since another qdisc holds the place of clsact");
    auto& instance = *attached.instance(direction);
    const auto place = placement_of(attached.record, target, direction);
    const bool stays = place.pod_side == shaping.pod_side && place.device_egress == shaping.hook.device_egress;
    if (stays && shaping.hook.behind && target != Shaper::htb)
        return fail(Code::unavailable, "a foreign classifier runs first at ", describe_hook(attached.record, shaping));
    if (auto r = begin_switch(attached, direction, shaping.pod_side || place.pod_side, pod); !r) return r;
    const auto from = shaping.shaper;
    const auto before = config_for(attached.record, shaping.rate, from, direction);
    const auto after = config_for(attached.record, shaping.rate, target, direction);
    std::uint64_t lost_bytes = 0;
    if (from != Shaper::police) {
        instance.configure(cautious(before));
        const auto where = point(attached.record, direction, shaping.pod_side, shaping.hook.device_egress, pod);
        if (const auto queued = queued_bytes(where, from)) lost_bytes = *queued;
    }
    auto switched = stays ? exchange_qdisc(attached, direction, target, before, after, pod)
                          : move_program(attached, direction, target, after, pod);
    // Its hook may be next.
    instance.configure(cautious(switched ? after : before));
    if (!switched) return switched;
    shaping.shaper = target;
    settle(attached, direction, lost_bytes, pod);
    return {};
}

// What went with the old qdisc was charged; what waits in the new one stays so.
void Engine::settle(Attached& attached, Direction direction, std::uint64_t lost_bytes, PodSide* pod) {
    const auto& shaping = *attached.record.of(direction);
    auto& instance = *attached.instance(direction);
    if (shaping.shaper == Shaper::edt) return instance.take_back(lost_bytes);
    if (shaping.shaper == Shaper::police) return instance.behind_at_most(0);
    const auto where = point(attached.record, direction, shaping.pod_side, shaping.hook.device_egress, pod);
    if (const auto queued = queued_bytes(where, shaping.shaper)) instance.behind_at_most(*queued);
}

// Both shapers use the device and hook that the program has.
Result<void> Engine::exchange_qdisc(Attached& attached, Direction direction, Shaper target, const natra_config& before,
                                    const natra_config& after, PodSide* pod) {
    const auto& shaping = *attached.record.of(direction);
    auto& instance = *attached.instance(direction);
    const auto where = point(attached.record, direction, shaping.pod_side, shaping.hook.device_egress, pod);
    if (shaping.shaper == Shaper::police)
        return add_shaper_qdisc(where.netlink, where.ifindex, target, shaping.rate, after);
    // Before the qdisc goes. HTB has no use for the times that EDT sets, but holds the rate all the same; with
    // fq the classes that HTB mode sets would hold nothing.
    if (target != Shaper::htb) instance.configure(cautious(after));
    if (target == Shaper::police) return remove_shaper_qdisc(where.netlink, where.ifindex, shaping.shaper);
    return replace_shaper_qdisc(where.netlink, where.ifindex, shaping.shaper, target, shaping.rate, before, after);
}

// To police what leaves the pod, the program sits where the host receives it; else on the pod's device.
Result<void> Engine::move_program(Attached& attached, Direction direction, Shaper target, const natra_config& after,
                                  PodSide* pod) {
    auto& record = attached.record;
    auto& shaping = *record.of(direction);
    auto& instance = *attached.instance(direction);
    const auto place = placement_of(record, target, direction);
    const auto from = point(record, direction, shaping.pod_side, shaping.hook.device_egress, pod);
    auto to = point(record, direction, place.pod_side, place.device_egress, pod);
    const auto link_pin = to.link_pin;
    to.link_pin += "_next";
    const auto before = instance.config();

    if (auto r = add_shaper_qdisc(to.netlink, to.ifindex, target, shaping.rate, after); !r) return r;
    // Policing on the pod's own device would tell its TCP of nothing but refusals. And what is policed no
    // longer is held by the program itself, but for a moment.
    if (target != Shaper::police) instance.configure(cautious(after));
    auto hook =
        attach_as_wished(to, instance.prog_fd(), record.wish, features_.tcx,
                         shares_clsact(record, direction, place.pod_side), program_of(attached, opposite(direction)));
    const auto back = [&] {
        instance.configure(before);
        if (hook)
            (void)detach_hook(to, hook->record, instance.prog_id(), shares_clsact(record, direction, place.pod_side));
        (void)remove_shaper_qdisc(to.netlink, to.ifindex, target);
    };
    if (!hook) {
        back();
        return hook.error();
    }
    if (!hook->first && target != Shaper::htb) {
        back();
        return fail(Code::unavailable, "a foreign classifier runs first at ", to_string(hook->record.kind), " ",
                    to.device);
    }
    hook->record.behind = !hook->first;
    if (target == Shaper::police) instance.configure(after);
    auto gone = remove_shaper_qdisc(from.netlink, from.ifindex, shaping.shaper);
    if (gone) silence_hook(from, shaping.hook);
    if (gone)
        gone = detach_hook(from, shaping.hook, instance.prog_id(), shares_clsact(record, direction, shaping.pod_side));
    if (!gone) {
        (void)add_shaper_qdisc(from.netlink, from.ifindex, shaping.shaper, shaping.rate, before);
        back();
        return gone;
    }
    if (hook->record.kind == HookKind::tcx)
        if (auto r = files::rename(to.link_pin, link_pin); !r) log::error(r.error().what);
    shaping.hook = hook->record;
    shaping.pod_side = place.pod_side;
    inherit_clsact(record, direction);
    return {};
}

bool Engine::shares_clsact(const AttachmentRecord& record, Direction direction, bool pod_side) {
    const auto& other = record.of(opposite(direction));
    return other && other->pod_side == pod_side && other->hook.kind == HookKind::clsact;
}

// Whoever of the two directions goes last takes away the qdisc that one of them made.
void Engine::inherit_clsact(AttachmentRecord& record, Direction direction) {
    auto& shaping = *record.of(direction);
    if (shaping.hook.kind != HookKind::clsact || !shares_clsact(record, direction, shaping.pod_side)) return;
    const auto& other = record.of(opposite(direction));
    shaping.hook.made_clsact = shaping.hook.made_clsact || other->hook.made_clsact;
}

// A mark that tells a later natrad what happened if this one dies before confirm_switch().
Result<void> Engine::begin_switch(const Attached& attached, Direction direction, bool pod_side, PodSide* pod) {
    const auto& record = attached.record;
    if (pod_side && pod == nullptr)
        return fail(Code::no_device, "network namespace ", record.netns_path, " cannot be entered");
    if (auto r = mark_switch(attached, direction, pod); !r) return r.error();
    return {};
}

Result<bool> Engine::mark_switch(const Attached& attached, Direction direction, PodSide* pod) {
    const auto& id = attached.record.id;
    const auto mark = switch_mark(id, direction);
    // Else the other direction has begun the same operation, and may have made a qdisc.
    const bool first = !switch_interrupted(id, Direction::ingress) && !switch_interrupted(id, Direction::egress);
    const auto& instance = attached.instance(direction);
    // The program of one that could not be adopted will do; any would.
    UniqueFd pinned;
    if (!instance)
        pinned.reset(bpf_obj_get(concat(pins(attached.record.id), "/", to_string(direction), "_prog").c_str()));
    const int prog_fd = instance ? instance->prog_fd() : pinned.get();
    if (bpf_obj_pin(prog_fd, mark.c_str()) == 0) {
        if (first) note_absent_clsact(attached.record, prog_fd, pod);
        return true;
    }
    if (errno == EEXIST) return false;
    return fail_errno(Code::kernel, errno, "pin ", mark);
}

// An empty clsact qdisc looks the same whoever made it. One that was absent when natrad began is natrad's.
void Engine::note_absent_clsact(const AttachmentRecord& record, int prog_fd, PodSide* pod) {
    for (const bool pod_side : {false, true}) {
        if (pod_side ? pod == nullptr : !record.has_host_side()) continue;
        auto& netlink = pod_side ? pod->netlink : host_;
        const auto qdiscs = netlink.qdiscs(pod_side ? record.pod_ifindex : record.host_ifindex);
        const bool absent =
            qdiscs && std::none_of(qdiscs->begin(), qdiscs->end(), [](const Qdisc& q) { return q.kind == "clsact"; });
        const auto mark = clsact_mark(record.id, pod_side);
        if (!absent)
            (void)files::remove(mark);
        else if (bpf_obj_pin(prog_fd, mark.c_str()) < 0 && errno != EEXIST)
            log::debug(fail_errno(Code::kernel, errno, "pin ", mark).what);
    }
}

void Engine::remove_empty_clsact(const AttachmentRecord& record, Direction direction, PodSide* pod) {
    const auto& shaping = record.of(direction);
    for (const bool pod_side : {false, true}) {
        if (pod_side ? pod == nullptr : !record.has_host_side()) continue;
        const bool recorded = shaping && shaping->pod_side == pod_side && shaping->hook.made_clsact;
        if (!recorded && !is_marked(clsact_mark(record.id, pod_side))) continue;
        const auto where = point(record, direction, pod_side, true, pod);
        if (auto r = remove_clsact_if_empty(where); !r) log::debug(concat(record.id, ": ", r.error().what));
    }
}

void Engine::confirm_switch(const std::string& id) {
    for (const auto direction : directions) unmark_switch(id, direction);
}

void Engine::unmark_switch(const std::string& id, Direction direction) {
    if (auto r = files::remove(switch_mark(id, direction)); !r) log::warning(r.error().what);
    if (switch_interrupted(id, opposite(direction))) return;
    for (const bool pod_side : {false, true})
        if (auto r = files::remove(clsact_mark(id, pod_side)); !r) log::warning(r.error().what);
}

bool Engine::switch_interrupted(const std::string& id, Direction direction) const {
    return is_marked(switch_mark(id, direction));
}

bool Engine::is_marked(const std::string& path) {
    std::error_code ignored;
    return std::filesystem::exists(path, ignored);
}

// Takes away all that this direction may have anywhere.
void Engine::sweep(const AttachmentRecord& record, Direction direction, PodSide* pod) {
    for (const auto shaper : {Shaper::edt, Shaper::htb, Shaper::police}) {
        const auto place = placement_of(record, shaper, direction);
        if (place.pod_side && pod == nullptr) continue;
        const auto where = point(record, direction, place.pod_side, place.device_egress, pod);
        drop_own_filters(where);
        // A policer at an ingress hook has none: the device's root qdisc is the other direction's.
        if (place.device_egress) (void)remove_shaper_qdisc(where.netlink, where.ifindex, shaper);
    }
    if (direction == Direction::ingress && pod != nullptr)  // police_inside()
        drop_own_filters(point(record, direction, true, false, pod));
    remove_direction_pins(record.id, direction);
    remove_empty_clsact(record, direction, pod);
}

std::string Engine::switch_mark(const std::string& id, Direction direction) const {
    return concat(pins(id), "/", to_string(direction), "_switch");
}

std::string Engine::clsact_mark(const std::string& id, bool pod_side) const {
    return concat(pins(id), pod_side ? "/pod_clsact" : "/host_clsact");
}

}  // namespace natra::datapath
