// SPDX-License-Identifier: Apache-2.0
// Engine: a program of this natrad in the place of one whose state it does not understand, as after an upgrade.
//
// The new one is loaded and configured, then takes the old one's place in one step of the kernel's: each packet
// meets one of the two. The qdisc stays, with what it holds, and that much the new program's clock is ahead.
//
// What waits there a flow's later packets may overtake, until the new program has learnt that the flow is heavy.
//
// Pins follow the hook: the old state's goes, then come the new program's and its state's. A natrad that dies in
// between leaves a program without its state, which no version adopts; the next one begins again from there.
#include "daemon/datapath/class_filter.hpp"
#include "daemon/datapath/engine.hpp"
#include "daemon/datapath/shaper.hpp"
#include "daemon/util/files.hpp"
#include "daemon/util/log.hpp"

namespace natra::datapath {

using Code = Error::Code;

Result<void> Engine::renew_program(Attached& attached, Direction direction, PodSide* pod) {
    const auto& record = attached.record;
    const auto& shaping = *record.of(direction);
    const auto where = point(record, direction, shaping.pod_side, shaping.hook.device_egress, pod);
    const std::string name(to_string(direction));
    const auto next = name + "_next";
    remove_next_pins(record.id, direction);
    if (auto r = files::make_directory(pins(record.id)); !r) return r;
    auto instance = pool_.take();
    if (!instance) return instance.error();
    instance->set_subnets(record.subnets);
    instance->configure(config_for(record, shaping.rate, shaping.shaper, direction));
    if (shaping.shaper == Shaper::htb) {
        // Older programs chose the class without it. What cannot be put right here is found when all is looked at.
        if (const auto filtered = has_class_filter(where.netlink, where.ifindex); filtered && !*filtered)
            if (auto r = add_class_filter(where.netlink, where.ifindex); !r) log::warning(r.error().what);
        // They gave other credit.
        if (auto r = where.netlink.change_htb(where.ifindex, htb_shape(shaping.rate, instance->config())); !r)
            log::warning(r.error().what);
    }
    // Nor had their fq room for what waits at high rates.
    if (shaping.shaper == Shaper::edt)
        if (auto r = where.netlink.change_fq(where.ifindex, fq_shape(shaping.rate, instance->config())); !r)
            log::warning(r.error().what);
    auto renewed = instance->pin(pins(record.id), next);
    if (renewed) {
        const auto queued = queued_bytes(where, shaping.shaper);
        if (queued) instance->begin_behind(*queued);
        renewed = queued ? exchange_program(where, shaping.hook, instance->prog_fd()) : Result<void>(queued.error());
    }
    // A program with another's state must not be found: neither by this version nor by one that is put back.
    if (renewed) renewed = files::remove(concat(pins(record.id), "/", name, "_state"));
    for (const char* const what : {"_prog", "_state"})
        if (renewed)
            renewed = files::rename(concat(pins(record.id), "/", next, what), concat(pins(record.id), "/", name, what));
    if (!renewed) {
        remove_next_pins(record.id, direction);
        return renewed;
    }
    attached.instance(direction) = std::make_shared<Instance>(*std::move(instance));
    return {};
}

void Engine::remove_next_pins(const std::string& id, Direction direction) {
    for (const char* const what : {"_next_prog", "_next_state"})
        if (auto r = files::remove(concat(pins(id), "/", to_string(direction), what)); !r) log::warning(r.error().what);
}

// None where another qdisc has the place of the shaper's.
Result<std::uint64_t> Engine::queued_bytes(const HookPoint& where, Shaper shaper) {
    if (shaper == Shaper::police) return std::uint64_t{0};
    const auto root = root_of(where);
    if (!root) return root.error();
    const bool ours = *root && (*root)->handle == shaper_handle(shaper);
    return ours ? (*root)->queued_bytes : 0;
}

}  // namespace natra::datapath
