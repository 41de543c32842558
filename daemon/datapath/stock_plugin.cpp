// SPDX-License-Identifier: Apache-2.0
// Engine: what the stock bandwidth plugin put on a pod's host device, found and replaced.
#include "daemon/datapath/engine.hpp"
#include "daemon/datapath/placement.hpp"
#include "daemon/util/log.hpp"

namespace natra::datapath {

using Code = Error::Code;

Result<bool> Engine::remove_stock_ifb(const std::string& name) {
    const auto link = find_stock_ifb(name);
    if (!link) return link.error();
    if (!*link) return false;
    if (auto r = host_.delete_link((*link)->ifindex); !r && r.error().code != Code::no_device) return r.error();
    log::info(concat("removed ", name, ", which the stock bandwidth plugin left"));
    return true;
}

Result<std::optional<Link>> Engine::find_stock_ifb(const std::string& name) {
    if (name.empty()) return std::optional<Link>();
    auto link = host_.link_by_name(name);
    if (link && link->kind == "ifb") return std::optional<Link>(*std::move(link));
    if (!link && link.error().code != Code::no_device) return link.error();
    return std::optional<Link>();
}

Result<bool> Engine::limited_by_stock(const AttachmentRecord& record, const AttachSpec& spec) {
    const auto ifb = find_stock_ifb(spec.stock_ifb);
    if (!ifb) return ifb.error();
    if (*ifb) return true;
    if (!spec.stock_root || !record.has_host_side()) return false;
    const auto root = host_.root_qdisc(record.host_ifindex);
    if (!root) return root.error();
    return *root && (*root)->handle == stock_root_handle && ((*root)->kind == "tbf" || (*root)->kind == "htb");
}

// Without a moment in which nothing limits:
//
// 1. What leaves the pod is limited on its own device, where the stock plugin has nothing.
// 2. The ingress qdisc and the IFB that it leads to go. They are in the way of clsact, and a redirection to
//    a device that is gone would lose everything.
// 3. The program takes its place before the stock root, which goes only then.
Result<void> Engine::take_over_from_stock(Attached& attached, const AttachSpec& spec, PodSide* pod) {
    auto& record = attached.record;
    const auto wanted = [&](Direction direction) {
        return spec.rates.of(direction) && obstacle(record, direction).empty();
    };
    if (!record.has_host_side()) {
        if (auto r = start_all(attached, spec, pod); !r) return r;
        if (auto r = remove_stock_ifb(spec.stock_ifb); !r) return r.error();
        return {};
    }
    // As long as this can fail, all of the stock plugin's is there.
    if (wanted(Direction::egress))
        if (auto r = start(attached, Direction::egress, *spec.rates.egress, pod); !r) return r;
    if (auto r = host_.delete_stock_ingress(record.host_ifindex); !r) return r;
    // From here on a failure must not take away what is in force already.
    if (auto r = remove_stock_ifb(spec.stock_ifb); !r) log::warning(concat(record.id, ": ", r.error().what));
    // Where there is no tcx, what polices on the host's side had only the stock plugin's qdisc to sit on.
    const auto& egress = record.egress;
    if (egress && !egress->pod_side && egress->hook.kind != HookKind::tcx)
        if (auto r = start_again(attached, Direction::egress, pod); !r)
            log::error(concat(record.id, ": egress limit is lost: ", r.error().what));
    // A policer needs no qdisc of its own; from there on it is a switch of shapers like any other.
    Result<void> ingress;
    if (wanted(Direction::ingress))
        ingress = start_with(attached, Direction::ingress, *spec.rates.ingress, Shaper::police, pod, true);
    if (ingress) ingress = replace_stock_root(attached, pod);
    record.stock_root = !ingress;
    if (!ingress) log::error(concat(record.id, ": the stock plugin's root qdisc stays: ", ingress.error().what));
    // Nothing is recorded yet: a natrad that starts now takes it all away.
    confirm_switch(record.id);
    log::info(concat(record.id, ": ", record.pod_device, " is taken over from the stock bandwidth plugin"));
    return {};
}

// What is to limit ingress then does so already.
Result<void> Engine::replace_stock_root(Attached& attached, PodSide* pod) {
    auto& record = attached.record;
    if (auto r = host_.delete_stock_root(record.host_ifindex); !r) return r;
    record.stock_root = false;
    if (!record.ingress) return {};
    auto best = switch_direction(attached, Direction::ingress, {}, pod);
    refresh(attached);
    if (!best) {
        log::warning(concat(record.id, ": ingress is policed: ", best.error().what));
        record.ingress->reason.shaper = concat("police: ", best.error().what);
    }
    return {};
}

}  // namespace natra::datapath
