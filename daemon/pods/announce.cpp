// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/announce.hpp"

#include "daemon/pods/shortfall.hpp"

namespace natra::pods {

log::Fields identity_fields(const AttachRequest& request, const std::string& id) {
    return {{"NATRA_NAMESPACE", request.pod_namespace},  {"NATRA_POD", request.pod_name},
            {"NATRA_POD_UID", request.pod_uid},          {"NATRA_CONTAINER_ID", request.container_id},
            {"NATRA_INTERFACE", request.interface_name}, {"NATRA_ATTACHMENT", id}};
}

log::Fields limit_fields(const Pod& pod, const std::string& by) {
    auto fields = identity_fields(pod.request, pod.id);
    fields.emplace_back("NATRA_OPERATOR", by);
    for (const auto direction : datapath::directions) {
        const bool ingress = direction == datapath::Direction::ingress;
        const std::string prefix = ingress ? "NATRA_INGRESS_" : "NATRA_EGRESS_";
        const auto& limit = ingress ? pod.effective.ingress : pod.effective.egress;
        const auto& shaping = pod.kernel.record.of(direction);
        fields.emplace_back(prefix + "RATE", std::to_string(limit.rate_bps));
        fields.emplace_back(prefix + "BURST", std::to_string(limit.burst_bits));
        fields.emplace_back(prefix + "SOURCE", limits::to_string(limit.source));
        fields.emplace_back(prefix + "LIMIT", describe_limit(pod, direction));
        if (!shaping) continue;
        fields.emplace_back(prefix + "HOOK", describe_hook(pod.kernel.record, *shaping));
        fields.emplace_back(prefix + "SHAPER", to_string(shaping->shaper));
    }
    return fields;
}

void announce(const log::Event& event, std::string_view verb, const Pod& pod) {
    const auto who = pod.changes.by.empty() ? "" : concat("; overridden by ", pod.changes.by);
    log::write(log::Level::info, event, concat(verb, " ", describe(pod), ": ", describe_limits(pod), who),
               limit_fields(pod, pod.changes.by));
}

void announce_change(const log::Event& event, std::string_view verb, const Pod& pod, const std::string& by) {
    log::write(log::Level::info, event, concat(verb, " ", describe(pod), ": ", describe_limits(pod), "; by ", by),
               limit_fields(pod, by));
}

void announce(log::Level level, const log::Event& event, const Pod& pod, std::string_view text) {
    log::write(level, event, concat(describe(pod), ": ", text), identity_fields(pod.request, pod.id));
}

void announce_shortfalls(const Pod& pod) {
    for (const auto& sentence : shortfalls(pod))
        log::write(log::Level::warning, log::events::not_held, sentence, identity_fields(pod.request, pod.id));
}

}  // namespace natra::pods
