// SPDX-License-Identifier: Apache-2.0
// Engine: a limit that is lifted while its pod lives on. With a qdisc goes what it holds, so that leaves first.
#include "daemon/datapath/engine.hpp"
#include "daemon/datapath/shaper.hpp"
#include "daemon/util/log.hpp"

namespace natra::datapath {
namespace {

// For HTB: nothing waits but for what was sent before, which is still paid for at the old rate: one packet's time.
constexpr Rate unlimited{.rate_bps = 1'000'000'000'000'000};

// Nor does TCP's pacing hold anything back in fq.
constexpr natra_config let_pass{.mode = NATRA_MODE_OFF, .flags = NATRA_F_AT_ONCE};

}  // namespace

Drain Engine::prepare_change(const Attached& attached, const Rates& rates) {
    Drain drain;
    std::optional<PodSide> pod;
    for (const auto direction : directions) {
        const auto& shaping = attached.record.of(direction);
        if (!shaping || rates.of(direction) || shaping->shaper == Shaper::police) continue;
        if (shaping->pod_side && !pod) {
            auto entered = enter(attached.record);
            if (!entered) continue;  // change() will say so
            pod.emplace(*std::move(entered));
        }
        const auto out = let_out(attached, direction, pod ? &*pod : nullptr);
        if (out)
            drain.of(direction) = 0;
        else if (out.error().code != Error::Code::no_device)
            log::warning(concat(attached.record.id, ": ", to_string(direction), " limit lifted: ", out.error().what));
    }
    return drain;
}

// From here on nothing is held back. What comes now queues behind what HTB's class of heavy flows holds; with fq it
// overtakes what waits there for the times that were set. A natrad that dies here leaves it to the next one to put
// the recorded rate back.
Result<void> Engine::let_out(const Attached& attached, Direction direction, PodSide* pod) {
    const auto& shaping = *attached.record.of(direction);
    attached.instance(direction)->configure(let_pass);
    if (shaping.shaper != Shaper::htb) return {};
    const auto where = point(attached.record, direction, shaping.pod_side, shaping.hook.device_egress, pod);
    const auto config = config_for(attached.record, unlimited, shaping.shaper, direction);
    return where.netlink.change_htb(where.ifindex, htb_shape(unlimited, config));
}

Result<bool> Engine::drained(const Attached& attached, const Drain& drain) {
    std::optional<PodSide> pod;
    for (const auto direction : directions) {
        const auto& shaping = attached.record.of(direction);
        if (!drain.of(direction) || !shaping) continue;
        if (shaping->pod_side && !pod) {
            auto entered = enter(attached.record);
            if (!entered) return entered.error();
            pod.emplace(*std::move(entered));
        }
        const auto where =
            point(attached.record, direction, shaping->pod_side, shaping->hook.device_egress, pod ? &*pod : nullptr);
        const auto queued = queued_bytes(where, shaping->shaper);
        if (!queued) return queued.error();
        if (*queued > *drain.of(direction)) return false;
    }
    return true;
}

}  // namespace natra::datapath
