// SPDX-License-Identifier: Apache-2.0
// Engine: the place inside the pod where ingress is policed when packets reach the pod past the host's device.
// A program of an agent's can hand them to the pod's device directly (bpf_redirect_peer), so that neither queue
// nor hook of the host's device sees them. The pod's own ingress hook sees all of them.
#include <cstdio>

#include "daemon/datapath/engine.hpp"
#include "daemon/datapath/placement.hpp"
#include "daemon/datapath/shaper.hpp"
#include "daemon/util/log.hpp"

namespace natra::datapath {

using Code = Error::Code;

Result<void> Engine::police_inside(Attached& attached, const std::string& why) {
    auto& record = attached.record;
    if (!record.ingress || record.past_host_side) return {};
    if (!record.has_host_side()) return fail(Code::unsupported, record.id, ": the pod has no device on the host");
    auto pod = enter(record);
    if (!pod) return pod.error();
    const auto marked = mark_switch(attached, Direction::ingress, &*pod);
    if (!marked) return marked.error();
    record.past_host_side = true;
    auto moved = move_inside(attached, why, *pod);
    if (moved) return moved;
    record.past_host_side = false;
    if (*marked) unmark_switch(record.id, Direction::ingress);
    return moved;
}

// The same program for a moment in both places: it charges twice, but nothing passes unseen.
Result<void> Engine::move_inside(Attached& attached, const std::string& why, PodSide& pod) {
    auto& record = attached.record;
    const auto outside = *record.ingress;
    const auto& instance = attached.ingress;
    const auto before = instance->config();
    const auto old_pin = concat(pins(record.id), "/ingress_link_old");
    const auto new_pin = concat(pins(record.id), "/ingress_link");
    const auto from = point(record, Direction::ingress, false, outside.hook.device_egress, nullptr);
    const auto to = point(record, Direction::ingress, true, false, &pod);
    const bool shared = shares_clsact(record, Direction::ingress, true);
    const bool keep_clsact = shares_clsact(record, Direction::ingress, false);
    (void)std::rename(new_pin.c_str(), old_pin.c_str());
    instance->configure(config_for(record, outside.rate, Shaper::police, Direction::ingress));
    auto hook = attach_as_wished(to, instance->prog_fd(), record.wish, features_.tcx, shared,
                                 program_of(attached, Direction::egress));
    if (!hook) {
        instance->configure(before);
        (void)std::rename(old_pin.c_str(), new_pin.c_str());
        return hook.error();
    }
    auto left = from;
    left.link_pin = old_pin;
    // What the host's device keeps would only charge the same packets twice.
    if (auto r = detach_hook(left, outside.hook, instance->prog_id(), keep_clsact); !r) log::warning(r.error().what);
    if (auto r = remove_shaper_qdisc(left.netlink, left.ifindex, outside.shaper); !r) log::warning(r.error().what);
    if (shared && hook->record.kind == HookKind::clsact)
        hook->record.made_clsact = hook->record.made_clsact || record.egress->hook.made_clsact;
    hook->record.behind = !hook->first;
    record.ingress = ShapingRecord{.rate = outside.rate,
                                   .shaper = Shaper::police,
                                   .pod_side = true,
                                   .hook = hook->record,
                                   .reason = {.shaper = concat("police: ", why), .hook = hook->reason}};
    return {};
}

}  // namespace natra::datapath
