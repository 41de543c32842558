// SPDX-License-Identifier: Apache-2.0
// Engine: what an earlier natrad left in the kernel, taken over and mended.
#include "daemon/datapath/engine.hpp"

#include "daemon/datapath/placement.hpp"
#include "daemon/util/files.hpp"
#include "daemon/util/log.hpp"
#include "daemon/util/may_pass.hpp"

namespace natra::datapath {

using Code = Error::Code;

Result<Attached> Engine::adopt(const AttachmentRecord& recorded) {
    const auto living = alive(recorded);
    if (!living) return living.error();
    if (!*living) return fail(Code::no_device, describe_device(recorded), " is gone");
    Attached attached{.record = recorded};
    if (auto r = expect_pods(recorded.netns, recorded.netns_path); !r) {
        if (auto lifted = detach(attached); !lifted) log::warning(concat(recorded.id, ": ", lifted.error().what));
        return fail(Code::no_device, r.error().what);
    }
    std::optional<PodSide> pod;
    if (auto entered = enter(recorded)) pod.emplace(*std::move(entered));
    // An older natrad did not ask.
    if (pod && !recorded.has_host_side())
        if (const auto link = pod->netlink.link_by_index(recorded.pod_ifindex))
            attached.record.pod_link_header = has_link_header(*link);
    std::optional<Error> last;
    for (const auto direction : directions) {
        if (!recorded.of(direction)) {
            // A natrad that died while it added this direction: nobody could lift its limit.
            if (is_marked(concat(pins(recorded.id), "/", to_string(direction), "_prog")))
                sweep(recorded, direction, pod ? &*pod : nullptr);
            continue;
        }
        auto adopted = adopt_direction(attached, direction, pod ? &*pod : nullptr);
        if (adopted) continue;
        // As it is now it is in force: the caller tries again.
        if (may_pass(adopted.error())) return adopted.error();
        log::error(concat(recorded.id, ": ", to_string(direction), " limit is lost: ", adopted.error().what));
        attached.record.of(direction).reset();
        attached.instance(direction).reset();
        last = adopted.error();
    }
    if (pod) learn_nsid(attached, *pod);
    if (last && !attached.record.ingress && !attached.record.egress) {
        // The attachment lives: that is known from alive().
        if (last->code == Code::no_device) last->code = Code::unavailable;
        return *last;
    }
    owners_[key_of(recorded)] = owner_of(recorded);
    return attached;
}

Result<void> Engine::adopt_direction(Attached& attached, Direction direction, PodSide* pod) {
    const auto& record = attached.record;
    const auto shaping = *record.of(direction);
    auto instance = Instance::adopt(pins(record.id), std::string(to_string(direction)));
    // Another program in its place would fail for the same reason, but with the first one gone.
    if (!instance && may_pass(instance.error())) return instance.error();
    if (instance) {
        auto& adopted = *instance;
        attached.instance(direction) = std::make_shared<Instance>(std::move(adopted));
    }
    // The pod's side cannot be looked at without its namespace; what is pinned there stays.
    if (shaping.pod_side && pod == nullptr) {
        const bool moved = record.has_host_side() && switch_interrupted(record.id, direction);
        if (instance && !moved) {
            // An earlier natrad may have prepared a lift or a switch.
            attached.instance(direction)->configure(config_for(record, shaping.rate, shaping.shaper, direction));
            return {};
        }
        // It may be outside already, or still inside, where it must neither drop nor charge again.
        if (instance && moved) attached.instance(direction)->configure({});
        if (record.has_host_side() && direction == Direction::egress) {
            constexpr auto why = "the pod's side cannot be entered";
            if (auto r = files::make_directory(pins(record.id)); !r) return r;
            // The program in there stays in force until one is outside, and longer where no link holds it.
            if (!moved) return police_outside(attached, why, nullptr);
            sweep(record, direction, nullptr);
            return start_policing(attached, shaping.rate, why);
        }
        return fail(Code::no_device, "network namespace ", record.netns_path, " cannot be entered");
    }
    if (switch_interrupted(record.id, direction)) {
        log::warning(
            concat(record.id, ": renewing ", to_string(direction), ": a switch of its data path was interrupted"));
        instance = fail(Code::mismatch, "interrupted");
        attached.instance(direction).reset();
        sweep(record, direction, pod);
    } else {
        if (!instance)
            log::write(
                instance.error().code == Code::unsupported ? log::Level::info : log::Level::warning,
                concat(record.id, ": renewing the program of ", to_string(direction), ": ", instance.error().what));
        auto sound = instance ? Result<void>() : renew_program(attached, direction, pod);
        if (sound) sound = mend_adopted(attached, direction, pod);
        if (sound) return {};
        log::warning(concat(record.id, ": renewing ", to_string(direction), ": ", sound.error().what));
    }
    return start_again(attached, direction, pod);
}

Result<void> Engine::mend_adopted(Attached& attached, Direction direction, PodSide* pod) {
    const auto& record = attached.record;
    const auto defects = inspect(attached, direction, pod);
    if (!defects) return defects.error();
    for (const auto& what : defects->what)
        log::warning(concat(record.id, ": repairing ", to_string(direction), ": ", what));
    if (!defects->what.empty())
        if (auto r = put_back(attached, direction, *defects, pod); !r) return r;
    // Because a natrad that died between a change and its record left other rates here.
    if (auto r = retune(attached, direction, record.of(direction)->rate, pod); !r) return r;
    return verify(attached, direction, pod);
}

}  // namespace natra::datapath
