// SPDX-License-Identifier: Apache-2.0
// Engine: what somebody took away or got in front of, put right; and the place
// outside the pod where egress is policed when the pod does not leave its own side alone.

#include <cstdio>

#include "daemon/datapath/class_filter.hpp"
#include "daemon/datapath/engine.hpp"
#include "daemon/datapath/placement.hpp"
#include "daemon/datapath/shaper.hpp"
#include "daemon/util/clock.hpp"
#include "daemon/util/files.hpp"
#include "daemon/util/log.hpp"
#include "daemon/util/may_pass.hpp"

namespace natra::datapath {
namespace {

using Code = Error::Code;

std::string backstop_reason(const std::string& why) { return concat("police: backstop outside the pod, since ", why); }

}  // namespace

void Engine::learn_nsid(Attached& attached, const PodSide& pod) {
    const auto nsid = host_.namespace_id(pod.fd.get());
    if (nsid)
        attached.nsid = *nsid;
    else
        log::warning(concat(attached.record.id, ": changes inside the pod are noticed late: ", nsid.error().what));
}

Result<Traffic> Engine::traffic() {
    auto devices = host_.link_bytes();
    if (!devices) return devices.error();
    return Traffic{.now_ns = monotonic_ns(), .devices = *std::move(devices)};
}

std::map<std::string, LinkBytes> Engine::pod_traffic(const std::vector<PodDevice>& devices) {
    std::map<std::string, LinkBytes> out;
    for (const auto& device : devices)
        if (const auto carried = host_.link_bytes_in(device.nsid, device.ifindex)) out.emplace(device.id, *carried);
    return out;
}

Result<Engine::Defects> Engine::inspect(const Attached& attached, Direction direction, PodSide* pod) {
    const auto& record = attached.record;
    const auto& shaping = *record.of(direction);
    const auto where = point(record, direction, shaping.pod_side, shaping.hook.device_egress, pod);
    Defects out;
    if (shaping.shaper != Shaper::police) {
        const auto root = root_of(where);
        if (!root) return root.error();
        const bool any = *root && (*root)->handle != 0;
        if (!any || (*root)->handle != shaper_handle(shaping.shaper)) {
            out.qdisc = true;
            out.what.push_back(any ? concat("qdisc ", (*root)->kind, " is in the place of ", to_string(shaping.shaper),
                                            "'s at the root of ", where.device)
                                   : concat("root qdisc of ", where.device, " is gone"));
        }
    }
    if (shaping.shaper == Shaper::htb && !out.qdisc) {
        const auto filtered = has_class_filter(where.netlink, where.ifindex);
        if (!filtered) return filtered.error();
        out.class_filter = !*filtered;
        if (out.class_filter) out.what.push_back(concat("filter of HTB's at the root of ", where.device, " is gone"));
    }
    const auto hook = hook_state(where, shaping.hook, program_of(attached, direction));
    if (!hook) return hook.error();
    out.hook = *hook;
    const auto place = concat(where.device_egress ? "egress" : "ingress", " of ", where.device);
    if (out.hook == HookState::absent) out.what.push_back(concat("program at ", place, " is gone"));
    // Accepted when nothing better was to be had; it is told at that time.
    if (out.hook == HookState::overtaken && !shaping.hook.behind)
        out.what.push_back(concat("another classifier came before the program at ", place));
    return out;
}

// With the same program, so that its clocks and counters go on.
Result<void> Engine::put_back(Attached& attached, Direction direction, const Defects& defects, PodSide* pod) {
    auto& record = attached.record;
    auto& shaping = *record.of(direction);
    const auto& instance = *attached.instance(direction);
    const auto where = point(record, direction, shaping.pod_side, shaping.hook.device_egress, pod);
    if (defects.qdisc) {
        // What the pod put there; on the host's side others may have a right to the place.
        if (shaping.pod_side)
            if (auto r = where.netlink.clear_root(where.ifindex); !r) return r;
        const auto config = config_for(record, shaping.rate, shaping.shaper, direction);
        if (auto r = add_shaper_qdisc(where.netlink, where.ifindex, shaping.shaper, shaping.rate, config); !r) return r;
    }
    if (defects.class_filter)
        if (auto r = add_class_filter(where.netlink, where.ifindex); !r) return r;
    if (defects.hook == HookState::first || (defects.hook == HookState::overtaken && shaping.hook.behind)) return {};
    const auto renewed = [&]() -> Result<AttachedHook> {
        if (defects.hook == HookState::overtaken)
            return retake_hook(where, shaping.hook, instance.prog_fd(), instance.prog_id(), record.wish.attach_mode,
                               features_.tcx);
        // Of a link that somebody detached; it stays, attached to nothing.
        if (auto r = files::remove(where.link_pin); !r) return r.error();
        const bool shared = shares_clsact(record, direction, shaping.pod_side);
        auto hook = attach_as_wished(where, instance.prog_fd(), record.wish, features_.tcx, shared,
                                     program_of(attached, opposite(direction)));
        if (hook && shared && hook->record.kind == HookKind::clsact)
            hook->record.made_clsact = hook->record.made_clsact || record.of(opposite(direction))->hook.made_clsact;
        return hook;
    }();
    if (!renewed) return renewed.error();
    shaping.hook = renewed->record;
    shaping.reason.hook = renewed->reason;
    if (!renewed->first && shaping.shaper != Shaper::htb)
        return fail(Code::unavailable, "a foreign classifier runs first at ", describe_hook(record, shaping));
    shaping.hook.behind = !renewed->first;
    if (!renewed->provisional.empty()) shaping.provisional = renewed->provisional;
    attached.instance(direction)->configure(config_for(record, shaping.rate, shaping.shaper, direction));
    return {};
}

// Another program in a place that works; the counters go on.
Result<void> Engine::start_again(Attached& attached, Direction direction, PodSide* pod) {
    const auto shaping = *attached.record.of(direction);
    const auto before = attached.instance(direction);
    (void)stop(attached, direction, pod);
    attached.instance(direction) = before;
    auto started = files::make_directory(pins(attached.record.id));
    if (started && before)
        if (const auto marked = mark_switch(attached, direction, pod); !marked) started = marked.error();
    if (started)
        started = shaping.backstop ? start_policing(attached, shaping.rate, "the pod's side was not left alone before")
                                   : start(attached, direction, shaping.rate, pod);
    if (!started) attached.instance(direction).reset();
    return started;
}

Result<Mended> Engine::mend(Attached& attached, const Rates& wanted, Remedy remedy) {
    const auto began_ns = monotonic_ns();
    const auto living = alive(attached.record);
    if (!living) return living.error();
    if (!*living) return fail(Code::no_device, describe_device(attached.record), " is gone");
    std::optional<PodSide> pod;
    if (auto entered = enter(attached.record)) pod.emplace(*std::move(entered));
    // It could not be had before.
    if (pod && attached.nsid == host_nsid) learn_nsid(attached, *pod);
    Mended out;
    for (const auto direction : directions) {
        if (!attached.record.of(direction)) {
            if (!wanted.of(direction) || !obstacle(attached.record, direction).empty()) continue;
            // Lost when it could not be put back: nobody's doing.
            out.found.push_back(concat(to_string(direction), " limit is missing"));
            // Pins of what could not be adopted would be in the way.
            remove_direction_pins(attached.record.id, direction);
            auto made = files::make_directory(pins(attached.record.id));
            if (made) made = start(attached, direction, *wanted.of(direction), pod ? &*pod : nullptr);
            if (!made) out.failed.push_back(made.error().what);
            continue;
        }
        if (auto r = mend_direction(attached, direction, remedy, pod ? &*pod : nullptr, out); !r)
            out.failed.push_back(r.error().what);
    }
    const bool no_ingress = wanted.ingress && !attached.record.ingress;
    if (attached.record.stock_root && !(no_ingress && obstacle(attached.record, Direction::ingress).empty())) {
        out.found.push_back(
            concat("the stock bandwidth plugin's root qdisc is at ", attached.record.host_device, " still"));
        if (auto r = replace_stock_root(attached, pod ? &*pod : nullptr); !r) out.failed.push_back(r.error().what);
    }
    out.took_ns = monotonic_ns() - began_ns;
    return out;
}

Result<void> Engine::mend_direction(Attached& attached, Direction direction, Remedy remedy, PodSide* pod, Mended& out) {
    const bool pod_side = attached.record.of(direction)->pod_side;
    if (pod_side && pod == nullptr) {
        // What leaves a pod is counted outside as well.
        if (direction == Direction::egress || !attached.record.has_host_side()) return {};
        out.found.emplace_back("ingress inside the pod cannot be looked at");
        return fail(Code::unavailable, "its network namespace cannot be entered");
    }
    const auto defects = inspect(attached, direction, pod);
    if (!defects && may_pass(defects.error())) {
        // Nobody's doing, and nothing is known to be wrong.
        out.found.push_back(concat(to_string(direction), " cannot be looked at"));
        return defects.error();
    }
    std::vector<std::string> what;
    if (defects)
        what = defects->what;
    else
        // The pod moved its device to another namespace: its end is not where it was.
        what.push_back(defects.error().what);
    if (what.empty()) return try_better(attached, direction, pod, out);
    (pod_side ? out.pod_side : out.host_side) = true;
    out.found.insert(out.found.end(), what.begin(), what.end());
    const bool has_outside = direction == Direction::egress && pod_side && attached.record.has_host_side();
    Result<void> outside;
    if (has_outside && remedy == Remedy::backstop) {
        outside = police_outside(attached, what.front(), pod);
        if (outside) return {};
        // Better limited where the pod can undo it again than nowhere.
        out.found.push_back(concat("no backstop could be put up outside the pod: ", outside.error().what));
    }
    auto mended = defects ? put_back(attached, direction, *defects, pod) : Result<void>(defects.error());
    if (mended || !outside) return mended;
    if (has_outside) return police_outside(attached, mended.error().what, pod);
    return start_again(attached, direction, pod);
}

// What stood in the way when the direction was started may be gone.
Result<void> Engine::try_better(Attached& attached, Direction direction, PodSide* pod, Mended& out) {
    const auto before = *attached.record.of(direction);
    if (before.provisional.empty() || before.backstop) return {};
    out.found.push_back(concat(to_string(direction), " is limited by ", to_string(before.shaper), " at ",
                               describe_hook(attached.record, before), " for now (", before.provisional, ")"));
    auto switched = switch_direction(attached, direction, {}, pod);
    if (!switched)
        if (auto r = switch_back(attached, direction, before, pod); !r)
            log::error(concat(attached.record.id, ": restore ", to_string(direction), ": ", r.error().what));
    refresh(attached);
    return switched;
}

Result<void> Engine::install_backstop(Attached& attached, const std::string& why) {
    std::optional<PodSide> pod;
    if (auto entered = enter(attached.record)) pod.emplace(*std::move(entered));
    return police_outside(attached, why, pod ? &*pod : nullptr);
}

Result<void> Engine::police_outside(Attached& attached, const std::string& why, PodSide* pod) {
    auto& record = attached.record;
    if (!record.egress || !record.egress->pod_side) return {};
    if (!record.has_host_side()) return fail(Code::unsupported, record.id, ": the pod has no device on the host");
    // The backstop must not fail for want of a mark.
    const auto marked = mark_switch(attached, Direction::egress, pod);
    if (!marked) log::warning(concat(record.id, ": backstop: ", marked.error().what));
    auto outside = pod == nullptr ? police_unreachable(attached, why) : police_with_same(attached, why, *pod);
    if (!outside && marked && *marked) unmark_switch(record.id, Direction::egress);
    return outside;
}

Result<void> Engine::police_with_same(Attached& attached, const std::string& why, PodSide& pod) {
    auto& record = attached.record;
    const auto inside = *record.egress;
    const auto instance = attached.egress;
    // The same program for a moment in both places: it charges twice, but nothing passes unseen.
    const auto old_pin = concat(pins(record.id), "/egress_link_old");
    const auto new_pin = concat(pins(record.id), "/egress_link");
    (void)std::rename(new_pin.c_str(), old_pin.c_str());
    instance->configure(config_for(record, inside.rate, Shaper::police, Direction::egress));
    const auto outside = point(record, Direction::egress, false, false, nullptr);
    const bool shared = shares_clsact(record, Direction::egress, false);
    auto hook = attach_as_wished(outside, instance->prog_fd(), record.wish, features_.tcx, shared,
                                 program_of(attached, Direction::ingress));
    if (!hook) {
        instance->configure(config_for(record, inside.rate, inside.shaper, Direction::egress));
        (void)std::rename(old_pin.c_str(), new_pin.c_str());
        return hook.error();
    }
    auto inside_point = point(record, Direction::egress, true, inside.hook.device_egress, &pod);
    inside_point.link_pin = old_pin;
    if (auto r = detach_hook(inside_point, inside.hook, instance->prog_id(), false); !r)
        log::debug(concat(record.id, ": backstop: ", r.error().what));
    if (auto r = remove_shaper_qdisc(inside_point.netlink, inside_point.ifindex, inside.shaper); !r)
        log::debug(concat(record.id, ": backstop: ", r.error().what));
    if (shared && hook->record.kind == HookKind::clsact)
        hook->record.made_clsact = hook->record.made_clsact || record.ingress->hook.made_clsact;
    hook->record.behind = !hook->first;
    record.egress = ShapingRecord{.rate = inside.rate,
                                  .shaper = Shaper::police,
                                  .pod_side = false,
                                  .hook = hook->record,
                                  .reason = {.shaper = backstop_reason(why), .hook = hook->reason},
                                  .backstop = true};
    return {};
}

// With another program: the one inside cannot be taken out, and may be in force in there as long as the pod lives.
Result<void> Engine::police_unreachable(Attached& attached, const std::string& why) {
    const auto instance = attached.egress;
    const auto rate = attached.record.egress->rate;
    const auto pin = [&](const char* what, const char* suffix) {
        return concat(pins(attached.record.id), "/egress", what, suffix);
    };
    const auto pinned = {"_link", "_prog", "_state"};
    for (const auto* const what : pinned) (void)std::rename(pin(what, "").c_str(), pin(what, "_old").c_str());
    if (auto r = start_policing(attached, rate, why); !r) {
        for (const auto* const what : pinned) (void)std::rename(pin(what, "_old").c_str(), pin(what, "").c_str());
        return r;
    }
    // It must neither drop nor charge what passes outside again.
    if (instance) instance->configure({});
    for (const auto* const what : pinned)
        if (auto r = files::remove(pin(what, "_old")); !r) log::warning(r.error().what);
    return {};
}

Result<void> Engine::start_policing(Attached& attached, const Rate& rate, const std::string& why) {
    if (auto r = start_with(attached, Direction::egress, rate, Shaper::police, nullptr, true); !r) return r;
    auto& now = *attached.record.egress;
    now.reason.shaper = backstop_reason(why);
    now.backstop = true;
    return {};
}

Result<void> Engine::lift_backstop(Attached& attached) {
    if (!attached.record.egress || !attached.record.egress->backstop) return {};
    auto pod = enter(attached.record);
    if (!pod) return pod.error();
    const auto outside = *attached.record.egress;
    const auto before = attached.egress;
    (void)stop(attached, Direction::egress, &*pod);
    attached.egress = before;
    auto started = files::make_directory(pins(attached.record.id));
    if (started)
        if (const auto marked = mark_switch(attached, Direction::egress, &*pod); !marked) started = marked.error();
    if (started) started = start(attached, Direction::egress, outside.rate, &*pod);
    if (started) return {};
    if (auto r = start_policing(attached, outside.rate, "the pod's side could not be set up again"); !r) {
        attached.egress.reset();
        log::error(concat(attached.record.id, ": egress limit is lost: ", r.error().what));
    }
    return started;
}

}  // namespace natra::datapath
