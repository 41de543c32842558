// SPDX-License-Identifier: Apache-2.0
#include "api/pod_json.hpp"

#include <time.h>

#include "api/queue_delay.hpp"
#include "daemon/pods/flows.hpp"

namespace natra::api {
namespace {

using datapath::Direction;

const limits::Limit& limit_of(const limits::Limits& limits, Direction direction) {
    return direction == Direction::ingress ? limits.ingress : limits.egress;
}

const pods::DirectionOverride& override_of(const pods::Override& changes, Direction direction) {
    return direction == Direction::ingress ? changes.ingress : changes.egress;
}

Json counters_json(const datapath::Instance& instance, const natra_counters& c) {
    return object({{"fastPackets", c.fast_packets},
                   {"fastBytes", c.fast_bytes},
                   {"pacedPackets", c.paced_packets},
                   {"pacedBytes", c.paced_bytes},
                   {"markedPackets", c.marked_packets},
                   {"markedBytes", c.marked_bytes},
                   {"droppedPackets", c.dropped_packets},
                   {"droppedBytes", c.dropped_bytes},
                   {"spilledPackets", c.spilled_packets},
                   {"spilledBytes", c.spilled_bytes},
                   {"heavyTableMisses", instance.heavy_table_misses()},
                   {"unparsedPackets", instance.unparsed_packets()}});
}

bool policed_inside(const datapath::AttachmentRecord& record, Direction direction) {
    return direction == Direction::ingress && record.past_host_side;
}

Json direction_json(const PodFacts& facts, Direction direction) {
    const auto& pod = facts.pod;
    const auto& limit = limit_of(pod.effective, direction);
    const auto& shaping = pod.kernel.record.of(direction);
    const auto& instance = pod.kernel.instance(direction);
    const auto counters = instance ? instance->counters() : natra_counters();
    constexpr double ns = 1e9;
    return object({{"rate", limit.rate_bps},
                   {"burst", limit.burst_bits},
                   {"source", limits::to_string(limit.source)},
                   {"heavyThresholdBytes", limit.heavy_threshold_bytes},
                   {"inForce", shaping.has_value()},
                   {"hook", shaping ? describe_hook(pod.kernel.record, *shaping) : ""},
                   {"shaper", shaping ? datapath::to_string(shaping->shaper) : ""},
                   {"reason", direction == Direction::ingress ? facts.ingress_reason : facts.egress_reason},
                   {"backstop", shaping && (shaping->backstop || policed_inside(pod.kernel.record, direction))},
                   {"queueSeconds", instance ? static_cast<double>(instance->queued_ns()) / ns : 0.0},
                   {"queueDelay", instance ? queue_delay_json(counters) : Json()},
                   {"counters", instance ? counters_json(*instance, counters) : Json()}});
}

Json classification_json(const datapath::Instance& instance) {
    const auto accuracy = instance.accuracy();
    return object({{"occupancy", accuracy.occupancy},
                   {"falseHeavyChance", accuracy.false_heavy_chance},
                   {"overestimateBytes", accuracy.overestimate_bytes},
                   {"thresholdBytes", accuracy.threshold_bytes}});
}

Json override_json(const pods::DirectionOverride& change) {
    Json out = Json::object();
    if (change.rate_bps) out["rate"] = *change.rate_bps;
    if (change.burst_bits) out["burst"] = *change.burst_bits;
    return out;
}

Json limits_direction_json(const pods::Pod& pod, Direction direction) {
    const auto& limit = limit_of(pod.effective, direction);
    const auto& asked = limit_of(pod.request.limits, direction);
    return object({{"rate", limit.rate_bps},
                   {"burst", limit.burst_bits},
                   {"source", limits::to_string(limit.source)},
                   {"override", override_json(override_of(pod.changes, direction))},
                   {"requested", object({{"rate", asked.rate_bps},
                                         {"burst", asked.burst_bits},
                                         {"source", limits::to_string(asked.source)}})}});
}

std::uint64_t now_usec(clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(now.tv_nsec) / 1000;
}

Json flow_json(const pods::Flow& flow, std::uint64_t boot_usec) {
    return object({{"protocol", flow.protocol},
                   {"source", flow.source},
                   {"sourcePort", flow.source_port},
                   {"destination", flow.destination},
                   {"destinationPort", flow.destination_port},
                   {"rate", flow.rate_bps},
                   {"share", flow.share},
                   {"bytes", flow.bytes},
                   {"packets", flow.packets},
                   {"markedPackets", flow.marked_packets},
                   {"droppedPackets", flow.dropped_packets},
                   {"droppedBytes", flow.dropped_bytes},
                   {"firstSeen", rfc3339(boot_usec + flow.first_seen_usec)},
                   {"lastSeen", rfc3339(boot_usec + flow.last_seen_usec)}});
}

// What is pinned of hook and shaper, and by whom; null where natrad chooses.
Json data_path_json(const datapath::Wish& wish) {
    const bool hook = wish.attach_mode != datapath::AttachMode::automatic;
    const bool shaper = wish.shaper || wish.avoid_edt;
    return object({{"attachMode", hook ? Json(to_string(wish.attach_mode)) : Json()},
                   {"attachModeBy", hook ? Json(wish.attach_mode_by) : Json()},
                   {"shaper", shaper ? Json(wish.shaper ? to_string(*wish.shaper) : "not edt") : Json()},
                   {"shaperBy", shaper ? Json(wish.shaper_by) : Json()}});
}

// Of limits or of the data path.
Json overridden_at(const pods::Override& changes) { return changes.any() ? Json(rfc3339(changes.at_usec)) : Json(); }

}  // namespace

std::string rfc3339(std::uint64_t usec) {
    constexpr std::uint64_t per_second = 1'000'000;
    const auto seconds = static_cast<time_t>(usec / per_second);
    tm parts{};
    ::gmtime_r(&seconds, &parts);
    char text[40];
    const auto length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    std::snprintf(text + length, sizeof text - length, ".%06uZ", static_cast<unsigned>(usec % per_second));
    return text;
}

PodFacts::PodFacts(const pods::Registry& registry, const pods::Pod& of)
    : pod(of), ingress_reason(registry.reason(of, Direction::ingress)),
      egress_reason(registry.reason(of, Direction::egress)) {}

Json pod_json(const PodFacts& facts) {
    const auto& pod = facts.pod;
    const auto& request = pod.request;
    return object({{"id", pod.id},
                   {"containerId", request.container_id},
                   {"interface", request.interface_name},
                   {"network", request.network},
                   {"namespace", request.pod_namespace},
                   {"name", request.pod_name},
                   {"uid", request.pod_uid},
                   {"netns", request.netns_path},
                   {"hostInterface", pod.kernel.record.host_device},
                   {"attachedAt", rfc3339(pod.attached_at_usec)},
                   {"shapedSubnets", limits::to_strings(request.subnets.shaped)},
                   {"unshapedSubnets", limits::to_strings(request.subnets.unshaped)},
                   {"warnings", request.warnings},
                   {"tamperEvents", pod.tamper_events},
                   {"dataPath", data_path_json(pod.kernel.record.wish)},
                   {"overriddenBy", pod.changes.by},
                   {"overriddenAt", overridden_at(pod.changes)},
                   {"ingress", direction_json(facts, Direction::ingress)},
                   {"egress", direction_json(facts, Direction::egress)}});
}

Json limits_json(const pods::Pod& pod) {
    return object({{"ingress", limits_direction_json(pod, Direction::ingress)},
                   {"egress", limits_direction_json(pod, Direction::egress)},
                   {"overriddenBy", pod.changes.by},
                   {"overriddenAt", overridden_at(pod.changes)}});
}

Json flows_json(const pods::Pod& pod, std::optional<Direction> direction, std::size_t top) {
    const auto boot_usec = now_usec(CLOCK_REALTIME) - now_usec(CLOCK_MONOTONIC);
    Json out = {{"id", pod.id}};
    for (const auto each : datapath::directions) {
        if (direction && *direction != each) continue;
        const auto& instance = pod.kernel.instance(each);
        const auto rate = limit_of(pod.effective, each).rate_bps;
        const auto found = pods::heavy_flows(instance.get(), rate, 0);
        auto list = Json::array();
        for (std::size_t i = 0; i < found.size() && i < top; ++i) list.push_back(flow_json(found[i], boot_usec));
        out[std::string(to_string(each))] = {{"rate", rate},
                                             {"heavyFlows", found.size()},
                                             {"tableSlots", NATRA_HEAVY_SLOTS},
                                             {"tableMisses", instance ? instance->heavy_table_misses() : 0},
                                             {"classification", instance ? classification_json(*instance) : Json()},
                                             {"flows", std::move(list)}};
    }
    return out;
}

}  // namespace natra::api
