// SPDX-License-Identifier: Apache-2.0
// Engine: one direction of an attachment, put into the kernel, changed, taken out.
#include "daemon/datapath/engine.hpp"

#include <cerrno>
#include <cstring>

#include "daemon/datapath/placement.hpp"
#include "daemon/datapath/shaper.hpp"
#include "daemon/util/files.hpp"
#include "daemon/util/log.hpp"
#include "daemon/util/may_pass.hpp"

namespace natra::datapath {

using Code = Error::Code;

namespace {

// Why nothing could hold ingress back.
std::string no_queue(const AttachmentRecord& record) {
    if (record.past_host_side) return concat("packets reach the pod past ", record.host_device);
    return "no queue leads to the pod on its side";
}

}  // namespace

// Qdiscs of the pod's side are reached through its namespace; programs through their mapped state.
bool Engine::needs_pod_side(const Attached& attached, Direction direction, const std::optional<Rate>& rate) const {
    const auto& record = attached.record;
    const auto& now = record.of(direction);
    if (now && rate)
        return now->pod_side && !in_force(attached, direction, *rate) &&
               (now->shaper == Shaper::htb ||
                (now->shaper == Shaper::edt && needs_more_room(record, direction, *rate)));
    if (now) return now->pod_side;
    if (!record.has_host_side()) return rate && obstacle(record, direction).empty();
    if (!has_queue(record, direction)) return rate.has_value();
    // Which shaper it will be is not known yet; the forced one is.
    return rate && direction == Direction::egress && record.wish.shaper != Shaper::police;
}

// Whether fq has to hold more packets than it was made for.
bool Engine::needs_more_room(const AttachmentRecord& record, Direction direction, const Rate& rate) const {
    const auto& now = record.of(direction)->rate;
    return fq_shape(rate, config_for(record, rate, Shaper::edt, direction)).limit >
           fq_shape(now, config_for(record, now, Shaper::edt, direction)).limit;
}

// Room first, then rate; and none is taken away, for what waits leaves at the times that it was given.
Result<void> Engine::make_room(const Attached& attached, Direction direction, const Rate& rate, PodSide* pod) {
    const auto& record = attached.record;
    const auto& shaping = *record.of(direction);
    if (shaping.pod_side && pod == nullptr) return {};
    const auto shape = larger(fq_shape(shaping.rate, config_for(record, shaping.rate, Shaper::edt, direction)),
                              fq_shape(rate, config_for(record, rate, Shaper::edt, direction)));
    const auto where = point(record, direction, shaping.pod_side, shaping.hook.device_egress, pod);
    auto r = where.netlink.change_fq(where.ifindex, shape);
    // Who puts it back gives it the room of the rate that is recorded then.
    if (!r && (r.error().sys == ENOENT || r.error().sys == EEXIST)) return {};
    return r;
}

// A lift may have been prepared that will not be.
bool Engine::in_force(const Attached& attached, Direction direction, const Rate& rate) {
    return attached.record.of(direction)->rate == rate && attached.instance(direction)->config().mode != NATRA_MODE_OFF;
}

Result<void> Engine::set_direction(Attached& attached, Direction direction, const std::optional<Rate>& rate,
                                   PodSide* pod) {
    const auto& now = attached.record.of(direction);
    if (now && rate)
        return in_force(attached, direction, *rate) ? Result<void>() : retune(attached, direction, *rate, pod);
    if (rate && !obstacle(attached.record, direction).empty()) return {};
    if (rate) return start(attached, direction, *rate, pod);
    if (now) return stop(attached, direction, pod);
    return {};
}

// Where a foreign classifier runs first, HTB holds the rate even if the program sees nothing: all is heavy
// then. The others need the program, so they are taken there only when nothing else is left.
Result<void> Engine::start(Attached& attached, Direction direction, const Rate& rate, PodSide* pod) {
    const auto& wish = attached.record.wish;
    std::string skipped;
    std::string provisional;
    std::optional<Error> last;
    const bool queued = has_queue(attached.record, direction);
    const auto candidates = queued ? shaper_candidates(features_, wish) : std::vector<Shaper>{Shaper::police};
    for (const bool last_resort : {false, true}) {
        for (const auto shaper : candidates) {
            const bool behind_others = last_resort || shaper == Shaper::htb;
            auto started = start_patiently(attached, direction, rate, shaper, pod, behind_others);
            if (started) {
                auto& shaping = *attached.record.of(direction);
                if (!provisional.empty()) shaping.provisional = provisional;
                shaping.reason.shaper = queued ? shaper_reason(shaper, wish, skipped)
                                               : concat(to_string(shaper), ": ", no_queue(attached.record));
                if (const auto unmet = unmet_wish(attached.record, direction); !unmet.empty())
                    log::warning(concat(attached.record.id, ": ", to_string(direction), ": ", unmet));
                return {};
            }
            last = started.error();
            if (may_pass(*last) && provisional.empty()) provisional = concat(to_string(shaper), ": ", last->what);
            if (!last_resort) skipped += concat(" (", to_string(shaper), ": ", last->what, ")");
        }
        if (last->code != Code::unavailable) break;
    }
    if (may_pass(*last)) last->code = Code::unavailable;
    return *last;
}

Result<void> Engine::start_patiently(Attached& attached, Direction direction, const Rate& rate, Shaper shaper,
                                     PodSide* pod, bool behind_others) {
    constexpr int attempts = 3;
    for (int attempt = 1;; ++attempt) {
        auto started = start_with(attached, direction, rate, shaper, pod, behind_others);
        if (started || attempt == attempts || !may_pass(started.error())) return started;
    }
}

Result<void> Engine::start_with(Attached& attached, Direction direction, const Rate& rate, Shaper shaper, PodSide* pod,
                                bool behind_others) {
    auto& record = attached.record;
    const auto [pod_side, device_egress] = placement_of(record, shaper, direction);
    if (pod_side && pod == nullptr)
        return fail(Code::no_device, "network namespace ", record.netns_path, " cannot be entered");
    const auto where = point(record, direction, pod_side, device_egress, pod);

    auto instance = pool_.take();
    if (!instance) return instance.error();
    if (const auto& before = attached.instance(direction)) instance->continue_from(*before);
    const auto config = config_for(record, rate, shaper, direction);
    instance->set_subnets(record.subnets);
    instance->configure(config);
    auto ready = instance->pin(pins(record.id), std::string(to_string(direction)));
    if (ready) ready = add_shaper_qdisc(where.netlink, where.ifindex, shaper, rate, config);
    if (!ready) {
        remove_program_pins(record.id, direction);
        return ready;
    }
    const auto& other = record.of(opposite(direction));
    // Whether made or found: there is a filter of ours on it.
    const bool shared_clsact = shares_clsact(record, direction, pod_side);
    auto hook = attach_as_wished(where, instance->prog_fd(), record.wish, features_.tcx, shared_clsact,
                                 program_of(attached, opposite(direction)));
    if (hook && !hook->first && !behind_others) {
        (void)detach_hook(where, hook->record, instance->prog_id(), shared_clsact);
        hook = fail(Code::unavailable, "a foreign classifier runs first at the ", device_egress ? "egress" : "ingress",
                    " of ", where.device);
    }
    if (!hook) {
        (void)remove_shaper_qdisc(where.netlink, where.ifindex, shaper);
        remove_program_pins(record.id, direction);
        return hook.error();
    }
    if (shared_clsact && hook->record.kind == HookKind::clsact)
        hook->record.made_clsact = hook->record.made_clsact || other->hook.made_clsact;
    hook->record.behind = !hook->first;
    record.of(direction) = ShapingRecord{.rate = rate,
                                         .shaper = shaper,
                                         .pod_side = pod_side,
                                         .hook = hook->record,
                                         .reason = {.shaper = "", .hook = std::move(hook->reason)}};
    record.of(direction)->provisional = std::move(hook->provisional);
    attached.instance(direction) = std::make_shared<Instance>(*std::move(instance));
    attached.instance(direction)->configure(config_for(record, rate, shaper, direction));
    return {};
}

Result<void> Engine::stop(Attached& attached, Direction direction, PodSide* pod) {
    auto& record = attached.record;
    const auto shaping = *record.of(direction);
    std::optional<Error> first;
    const auto note = [&](Result<void> r) {
        if (!r && r.error().code != Code::no_device && !first) first = std::move(r).error();
    };
    if (!shaping.pod_side || pod != nullptr) {
        const auto where = point(record, direction, shaping.pod_side, shaping.hook.device_egress, pod);
        const auto& other = record.of(opposite(direction));
        const bool keep_clsact = other && other->pod_side == shaping.pod_side && other->hook.kind == HookKind::clsact;
        note(detach_hook(where, shaping.hook, program_of(attached, direction), keep_clsact));
        note(remove_shaper_qdisc(where.netlink, where.ifindex, shaping.shaper));
    }
    remove_direction_pins(record.id, direction);
    record.of(direction).reset();
    attached.instance(direction).reset();
    if (first) return *first;
    return {};
}

Result<void> Engine::retune(Attached& attached, Direction direction, const Rate& rate, PodSide* pod) {
    auto& shaping = *attached.record.of(direction);
    auto& instance = *attached.instance(direction);
    const auto config = config_for(attached.record, rate, shaping.shaper, direction);
    // What waits behind a program that let all pass was charged nowhere.
    const bool passed = instance.config().mode == NATRA_MODE_OFF;
    const bool reached = !shaping.pod_side || pod != nullptr;
    if (!reached && shaping.shaper == Shaper::htb)
        return fail(Code::no_device, "network namespace ", attached.record.netns_path, " cannot be entered");
    if (shaping.shaper == Shaper::htb) {
        const auto where = point(attached.record, direction, shaping.pod_side, shaping.hook.device_egress, pod);
        if (auto r = where.netlink.change_htb(where.ifindex, htb_shape(rate, config)); !r) {
            // Some classes may have the new rate already.
            const auto old = config_for(attached.record, shaping.rate, shaping.shaper, direction);
            (void)where.netlink.change_htb(where.ifindex, htb_shape(shaping.rate, old));
            return r;
        }
    }
    if (shaping.shaper == Shaper::edt)
        if (auto r = make_room(attached, direction, rate, pod); !r) return r;
    instance.configure(config);
    shaping.rate = rate;
    if (!reached || (shaping.shaper == Shaper::edt && !passed)) return {};
    // HTB had the new rate before the clock had it, by as long as the kernel took.
    const auto where = point(attached.record, direction, shaping.pod_side, shaping.hook.device_egress, pod);
    const auto queued = queued_bytes(where, shaping.shaper);
    if (queued) instance.behind_at_least(*queued);
    return {};
}

void Engine::refresh(const Attached& attached) {
    for (const auto direction : directions) {
        const auto& shaping = attached.record.of(direction);
        if (!shaping) continue;
        const auto config = config_for(attached.record, shaping->rate, shaping->shaper, direction);
        auto& instance = *attached.instance(direction);
        if (std::memcmp(&instance.config(), &config, sizeof config) != 0) instance.configure(config);
    }
}

std::uint32_t Engine::program_of(const Attached& attached, Direction direction) {
    return attached.instance(direction) ? attached.instance(direction)->prog_id() : 0;
}

void Engine::remove_direction_pins(const std::string& id, Direction direction) {
    remove_program_pins(id, direction);
    remove_next_pins(id, direction);
    for (const char* const what : {"_link", "_link_next", "_link_old", "_prog_old", "_state_old", "_switch"})
        if (auto r = files::remove(concat(pins(id), "/", to_string(direction), what)); !r) log::warning(r.error().what);
}

// What start_with() pins; a link goes with its hook.
void Engine::remove_program_pins(const std::string& id, Direction direction) {
    for (const char* const what : {"_prog", "_state"})
        if (auto r = files::remove(concat(pins(id), "/", to_string(direction), what)); !r) log::warning(r.error().what);
}

natra_config Engine::config_for(const AttachmentRecord& record, const Rate& rate, Shaper shaper,
                                Direction direction) const {
    const bool device_egress = placement_of(record, shaper, direction).device_egress;
    // HTB takes no such verdict from its filters. Which hook it is turns out when it is attached.
    const auto& now = record.of(direction);
    const bool lose = device_egress && now && now->hook.kind != HookKind::htb;
    return make_config({.rate_bps = rate.rate_bps,
                        .burst_bits = rate.burst_bits,
                        .heavy_threshold_bytes = rate.heavy_threshold_bytes,
                        .shaper = shaper,
                        .direction = direction,
                        .no_link_header = !record.pod_link_header,
                        .lose = lose,
                        .shared_counters = features_.shared_counters,
                        .heavy = settings_.heavy});
}

HookPoint Engine::point(const AttachmentRecord& record, Direction direction, bool pod_side, bool device_egress,
                        PodSide* pod) {
    return HookPoint{.netlink = pod_side ? pod->netlink : host_,
                     .worker = worker_,
                     .netns_fd = pod_side ? pod->fd.get() : -1,
                     .ifindex = pod_side ? record.pod_ifindex : record.host_ifindex,
                     .device = pod_side ? record.pod_device : record.host_device,
                     .device_egress = device_egress,
                     .link_pin = concat(pins(record.id), "/", to_string(direction), "_link")};
}

}  // namespace natra::datapath
