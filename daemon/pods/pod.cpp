// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/pod.hpp"

#include <chrono>

#include "daemon/limits/floor.hpp"
#include "daemon/pods/attachment_id.hpp"

namespace natra::pods {
namespace {

using Code = Error::Code;

Result<void> validate_rate(std::string_view field, std::uint64_t rate_bps) {
    if (rate_bps > limits::max_rate_bps)
        return fail(Code::invalid_argument, field, ": ", rate_bps, " bit/s is above ", limits::max_rate_bps);
    return {};
}

// What is set now; a rate that the runtime asked for may be lower.
Result<void> validate_set_rate(std::string_view field, const std::optional<std::uint64_t>& rate_bps) {
    if (!rate_bps || !limits::is_too_slow(*rate_bps)) return {};
    return fail(Code::invalid_argument, field, ": ", limits::too_slow(std::to_string(*rate_bps)));
}

Result<void> validate_burst(std::string_view field, std::uint64_t burst_bits, std::uint64_t rate_bps) {
    if (burst_bits >= limits::burst_limit_bits)
        return fail(Code::invalid_argument, field, ": ", burst_bits, " bits: burst cannot be more than 4GB");
    if (burst_bits != 0 && rate_bps == 0)
        return fail(Code::invalid_argument, field, ": ", burst_bits, " bits: if burst is set, rate must also be set");
    return {};
}

Result<void> validate_direction(std::string_view name, std::uint64_t rate_bps, std::uint64_t burst_bits) {
    if (auto r = validate_rate(concat(name, "Rate"), rate_bps); !r) return r;
    return validate_burst(concat(name, "Burst"), burst_bits, rate_bps);
}

limits::Limit overridden(const limits::Limit& asked, const DirectionOverride& change) {
    if (!change.any()) return asked;
    limits::Limit out = asked;
    out.source = limits::Source::operator_override;
    if (change.rate_bps) out.rate_bps = *change.rate_bps;
    if (change.burst_bits) out.burst_bits = *change.burst_bits;
    // A burst that the request brought along means nothing without a rate.
    if (out.rate_bps == 0) out.burst_bits = 0;
    return out;
}

}  // namespace

void interpret(AttachRequest& request) {
    if (request.annotations.empty()) return;
    auto found = limits::interpret(request.limits, request.annotations);
    request.limits = found.limits;
    request.warnings = std::move(found.warnings);
    request.annotations.clear();
    request.annotated = true;
}

Result<void> validate(const AttachRequest& request) {
    if (!valid_container_id(request.container_id))
        return fail(Code::invalid_argument, "ContainerId: \"", request.container_id, "\" is not a CNI container ID");
    if (!valid_interface_name(request.interface_name))
        return fail(Code::invalid_argument, "InterfaceName: \"", request.interface_name, "\" is not an interface name");
    const auto& [ingress, egress] = request.limits;
    if (auto r = validate_direction("Ingress", ingress.rate_bps, ingress.burst_bits); !r) return r;
    if (auto r = validate_direction("Egress", egress.rate_bps, egress.burst_bits); !r) return r;
    return validate(request.pins, "EdtPacing", "Shaper");
}

Result<void> validate(const Override& changes, const limits::Limits& granted) {
    const auto ingress = overridden(granted.ingress, changes.ingress);
    const auto egress = overridden(granted.egress, changes.egress);
    if (auto r = validate_rate("IngressRate", ingress.rate_bps); !r) return r;
    if (auto r = validate_rate("EgressRate", egress.rate_bps); !r) return r;
    if (auto r = validate_set_rate("IngressRate", changes.ingress.rate_bps); !r) return r;
    if (auto r = validate_set_rate("EgressRate", changes.egress.rate_bps); !r) return r;
    if (auto r = validate_burst("IngressBurst", changes.ingress.burst_bits.value_or(0), ingress.rate_bps); !r) return r;
    return validate_burst("EgressBurst", changes.egress.burst_bits.value_or(0), egress.rate_bps);
}

std::uint64_t now_realtime_usec() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

Override stamped(Override changes, const std::string& by) {
    const bool any = changes.any();
    changes.by = any ? by : "";
    changes.at_usec = any ? now_realtime_usec() : 0;
    return changes;
}

limits::Limits effective_limits(const limits::Limits& granted, const AttachRequest& request, const Override& changes,
                                const BurstSettings& bursts) {
    const limits::BurstPolicy policy{.honour_fillers = request.honour_filler_bursts,
                                     .default_burst_ns = bursts.default_burst_ns,
                                     .max_burst_ns = bursts.max_burst_ns};
    return {.ingress = limits::apply_burst_policy(overridden(granted.ingress, changes.ingress), policy),
            .egress = limits::apply_burst_policy(overridden(granted.egress, changes.egress), policy)};
}

std::string describe(const Pod& pod) {
    const auto& request = pod.request;
    if (request.pod_name.empty()) return concat("container ", request.container_id, " ", request.interface_name);
    return concat(request.pod_namespace, "/", request.pod_name, " ", request.interface_name);
}

std::string describe_limit(const Pod& pod, datapath::Direction direction) {
    const auto& limit = direction == datapath::Direction::ingress ? pod.effective.ingress : pod.effective.egress;
    const auto& shaping = pod.kernel.record.of(direction);
    if (!shaping) return "not limited";
    const auto burst = limit.burst_bits == 0 ? "" : concat(" with ", limit.burst_bits, " bits of burst");
    return concat(limit.rate_bps, " bit/s", burst, " from ", limits::to_string(limit.source), " at ",
                  describe_hook(pod.kernel.record, *shaping), " (", shaping->reason.text(), ")");
}

std::string describe_limits(const Pod& pod) {
    return concat("ingress ", describe_limit(pod, datapath::Direction::ingress), ", egress ",
                  describe_limit(pod, datapath::Direction::egress));
}

std::string why_unlimited(const limits::Limit& effective) {
    using limits::Source;
    if (effective.limited()) return "";
    switch (effective.source) {
    case Source::none: return "no limit: no annotation";
    case Source::annotation: return "no limit: the pod's annotation says 0";
    case Source::conf: return "no limit: the network configuration says 0";
    case Source::operator_override: return "no limit: an operator has lifted it";
    case Source::runtime:
    case Source::node_default:
    case Source::ceiling: break;
    }
    return concat("no limit: ", to_string(effective.source), " says 0");
}

datapath::Rates to_rates(const limits::Limits& limits) {
    const auto one = [](const limits::Limit& limit) -> std::optional<datapath::Rate> {
        if (!limit.limited()) return std::nullopt;
        return datapath::Rate{.rate_bps = limit.rate_bps,
                              .burst_bits = limit.burst_bits,
                              .heavy_threshold_bytes = limit.heavy_threshold_bytes};
    };
    return {.ingress = one(limits.ingress), .egress = one(limits.egress)};
}

}  // namespace natra::pods
