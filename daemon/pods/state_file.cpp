// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/state_file.hpp"

#include <nlohmann/json.hpp>

#include "daemon/pods/subnets.hpp"

namespace natra::pods {
namespace {

using json = nlohmann::json;
using Code = Error::Code;
using datapath::AttachmentRecord;
using datapath::ShapingRecord;

constexpr int format_version = 1;

json to_object(const limits::Limit& limit) {
    return {{"rate_bps", limit.rate_bps},
            {"burst_bits", limit.burst_bits},
            {"source", to_string(limit.source)},
            {"heavy_threshold_bytes", limit.heavy_threshold_bytes}};
}

limits::Limit limit_from(const json& object) {
    const auto source = limits::source_from(object.at("source").get<std::string>());
    return {.rate_bps = object.at("rate_bps"),
            .burst_bits = object.at("burst_bits"),
            .source = source.value_or(limits::Source::none),
            .heavy_threshold_bytes = object.value("heavy_threshold_bytes", std::uint64_t{0})};
}

json to_object(const DirectionOverride& change) {
    auto out = json::object();
    if (change.rate_bps) out["rate_bps"] = *change.rate_bps;
    if (change.burst_bits) out["burst_bits"] = *change.burst_bits;
    return out;
}

DirectionOverride override_from(const json& object) {
    DirectionOverride out;
    if (object.contains("rate_bps")) out.rate_bps = object["rate_bps"].get<std::uint64_t>();
    if (object.contains("burst_bits")) out.burst_bits = object["burst_bits"].get<std::uint64_t>();
    return out;
}

json to_object(const Pins& pins) {
    return {{"attach_mode", to_string(pins.attach_mode)},
            {"edt_pacing", to_string(pins.edt_pacing)},
            {"shaper", shaper_text(pins.shaper)}};
}

// Keys as to_object() names them, or as Attach does; absent ones at their defaults.
Pins pins_from(const json& object, const char* attach_mode, const char* edt_pacing, const char* shaper) {
    Pins out;
    const auto read = [&](const char* key, auto parse, auto& into) {
        const auto value = parse(key, object.value(key, std::string("auto")));
        if (!value) throw std::invalid_argument(value.error().what);
        into = *value;
    };
    read(attach_mode, parse_attach_mode, out.attach_mode);
    read(edt_pacing, parse_edt_pacing, out.edt_pacing);
    read(shaper, parse_shaper, out.shaper);
    return out;
}

// What an earlier natrad, which knew of no pins, wrote has none.
Pins pins_from(const json& object) {
    const auto pins = object.find("pins");
    return pins == object.end() ? Pins() : pins_from(*pins, "attach_mode", "edt_pacing", "shaper");
}

json to_object(const datapath::Wish& wish) {
    return {{"attach_mode", to_string(wish.attach_mode)},
            {"attach_mode_by", wish.attach_mode_by},
            {"shaper", shaper_text(wish.shaper)},
            {"avoid_edt", wish.avoid_edt},
            {"shaper_by", wish.shaper_by}};
}

datapath::Wish wish_from(const json& object) {
    datapath::Wish out;
    const auto wish = object.find("wish");
    if (wish == object.end()) return out;
    const auto mode = datapath::attach_mode_from(wish->at("attach_mode").get<std::string>());
    if (!mode) throw std::invalid_argument("unknown attach mode");
    out.attach_mode = *mode;
    out.attach_mode_by = wish->at("attach_mode_by");
    out.shaper = datapath::shaper_from(wish->at("shaper").get<std::string>());
    out.avoid_edt = wish->at("avoid_edt");
    out.shaper_by = wish->at("shaper_by");
    return out;
}

json to_object(const std::optional<ShapingRecord>& shaping) {
    if (!shaping) return nullptr;
    return {{"rate_bps", shaping->rate.rate_bps},
            {"burst_bits", shaping->rate.burst_bits},
            {"shaper", to_string(shaping->shaper)},
            {"pod_side", shaping->pod_side},
            {"hook", to_string(shaping->hook.kind)},
            {"device_egress", shaping->hook.device_egress},
            {"made_clsact", shaping->hook.made_clsact},
            {"priority", shaping->hook.priority},
            {"handle", shaping->hook.handle},
            {"behind", shaping->hook.behind},
            {"backstop", shaping->backstop},
            {"reason", shaping->reason},
            {"heavy_threshold_bytes", shaping->rate.heavy_threshold_bytes}};
}

std::optional<ShapingRecord> shaping_from(const json& object) {
    if (object.is_null()) return std::nullopt;
    const auto shaper = datapath::shaper_from(object.at("shaper").get<std::string>());
    const auto hook = datapath::hook_kind_from(object.at("hook").get<std::string>());
    if (!shaper || !hook) throw std::invalid_argument("unknown shaper or hook");
    return ShapingRecord{.rate = {.rate_bps = object.at("rate_bps"),
                                  .burst_bits = object.at("burst_bits"),
                                  .heavy_threshold_bytes = object.value("heavy_threshold_bytes", std::uint64_t{0})},
                         .shaper = *shaper,
                         .pod_side = object.at("pod_side"),
                         .hook = {.kind = *hook,
                                  .device_egress = object.at("device_egress"),
                                  .made_clsact = object.at("made_clsact"),
                                  .priority = object.at("priority"),
                                  .handle = object.at("handle"),
                                  .behind = object.value("behind", false)},
                         .reason = object.at("reason"),
                         .backstop = object.value("backstop", false)};
}

json to_object(const AttachmentRecord& record) {
    return {{"netns_path", record.netns_path},     {"netns_dev", record.netns.dev},
            {"netns_ino", record.netns.ino},       {"netns_cookie", record.netns_cookie},
            {"pod_device", record.pod_device},     {"pod_kind", record.pod_kind},
            {"pod_ifindex", record.pod_ifindex},   {"host_device", record.host_device},
            {"host_ifindex", record.host_ifindex}, {"ingress", to_object(record.ingress)},
            {"egress", to_object(record.egress)},  {"wish", to_object(record.wish)},
            {"stock_root", record.stock_root},     {"pod_link_header", record.pod_link_header}};
}

AttachmentRecord record_from(const json& object) {
    AttachmentRecord out;
    out.netns_path = object.at("netns_path");
    out.netns.dev = object.at("netns_dev");
    out.netns.ino = object.at("netns_ino");
    out.netns_cookie = object.value("netns_cookie", std::uint64_t{0});
    out.pod_device = object.at("pod_device");
    out.pod_kind = object.value("pod_kind", "");
    out.pod_link_header = object.value("pod_link_header", true);
    out.pod_ifindex = object.at("pod_ifindex");
    out.host_device = object.at("host_device");
    out.host_ifindex = object.at("host_ifindex");
    out.wish = wish_from(object);
    out.stock_root = object.value("stock_root", false);
    out.ingress = shaping_from(object.at("ingress"));
    out.egress = shaping_from(object.at("egress"));
    return out;
}

json to_object(const AttachRequest& request) {
    return {{"container_id", request.container_id},
            {"interface_name", request.interface_name},
            {"network", request.network},
            {"netns_path", request.netns_path},
            {"pod_namespace", request.pod_namespace},
            {"pod_name", request.pod_name},
            {"pod_uid", request.pod_uid},
            {"ingress", to_object(request.limits.ingress)},
            {"egress", to_object(request.limits.egress)},
            {"shaped_subnets", limits::to_strings(request.subnets.shaped)},
            {"unshaped_subnets", limits::to_strings(request.subnets.unshaped)},
            {"warnings", request.warnings},
            {"annotated", request.annotated},
            {"honour_filler_bursts", request.honour_filler_bursts},
            {"pins", to_object(request.pins)}};
}

limits::SubnetRules subnets_from(const json& object, const char* shaped, const char* unshaped) {
    using Texts = std::vector<std::string>;
    auto rules = limits::parse_subnet_rules(object.value(shaped, Texts{}), object.value(unshaped, Texts{}));
    if (!rules) throw std::invalid_argument(rules.error().what);
    return *std::move(rules);
}

AttachRequest request_from(const json& object) {
    AttachRequest out;
    out.container_id = object.at("container_id");
    out.interface_name = object.at("interface_name");
    out.network = object.at("network");
    out.netns_path = object.at("netns_path");
    out.pod_namespace = object.at("pod_namespace");
    out.pod_name = object.at("pod_name");
    out.pod_uid = object.at("pod_uid");
    out.limits = {.ingress = limit_from(object.at("ingress")), .egress = limit_from(object.at("egress"))};
    out.honour_filler_bursts = object.at("honour_filler_bursts");
    out.subnets = subnets_from(object, "shaped_subnets", "unshaped_subnets");
    out.warnings = object.value("warnings", std::vector<std::string>{});
    out.annotated = object.value("annotated", false);
    out.pins = pins_from(object);
    return out;
}

// Fields as the shim writes them, absent ones at their defaults.
AttachRequest spooled_request_from(const json& object) {
    AttachRequest out;
    const auto limit = [&](const char* rate, const char* burst, const char* source) {
        const auto from = limits::source_from(object.value(source, "none"));
        return limits::Limit{.rate_bps = object.value(rate, std::uint64_t{0}),
                             .burst_bits = object.value(burst, std::uint64_t{0}),
                             .source = from.value_or(limits::Source::none)};
    };
    out.container_id = object.at("ContainerId");
    out.interface_name = object.at("InterfaceName");
    out.netns_path = object.at("NetnsPath");
    out.network = object.value("Network", "");
    out.pod_namespace = object.value("PodNamespace", "");
    out.pod_name = object.value("PodName", "");
    out.pod_uid = object.value("PodUid", "");
    out.host_interfaces = object.value("HostInterfaces", std::vector<std::string>{});
    out.strict_interfaces = object.value("StrictInterfaces", false);
    out.limits = {.ingress = limit("IngressRate", "IngressBurst", "IngressSource"),
                  .egress = limit("EgressRate", "EgressBurst", "EgressSource")};
    out.honour_filler_bursts = object.value("BurstPolicy", "default") == "runtime";
    out.subnets = subnets_from(object, "ShapedSubnets", "UnshapedSubnets");
    out.annotations = object.value("Annotations", limits::Annotations{});
    out.pins = pins_from(object, "AttachMode", "EdtPacing", "Shaper");
    return out;
}

template <class Parse> auto parse_with(std::string_view text, Parse parse) -> Result<decltype(parse(json()))> {
    try {
        return parse(json::parse(text));
    } catch (const std::exception& e) {
        return fail(Code::invalid_argument, e.what());
    }
}

}  // namespace

std::string to_json(const Pod& pod) {
    const json object{{"version", format_version},
                      {"attached_at_usec", pod.attached_at_usec},
                      {"tamper_events", pod.tamper_events},
                      {"request", to_object(pod.request)},
                      {"override",
                       {{"ingress", to_object(pod.changes.ingress)},
                        {"egress", to_object(pod.changes.egress)},
                        {"pins", to_object(pod.changes.pins)},
                        {"by", pod.changes.by},
                        {"at_usec", pod.changes.at_usec}}},
                      {"kernel", to_object(pod.kernel.record)}};
    // Names come from outside: a stray byte must not make the state unwritable.
    return object.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<Pod> pod_from_json(std::string_view text) {
    return parse_with(text, [](const json& object) {
        if (object.at("version") != format_version)
            throw std::invalid_argument("version " + object.at("version").dump() + " is not known");
        Pod pod;
        pod.attached_at_usec = object.at("attached_at_usec");
        pod.tamper_events = object.value("tamper_events", std::uint64_t{0});
        pod.request = request_from(object.at("request"));
        const auto& changes = object.at("override");
        pod.changes = {.ingress = override_from(changes.at("ingress")),
                       .egress = override_from(changes.at("egress")),
                       .pins = pins_from(changes),
                       .by = changes.value("by", ""),
                       .at_usec = changes.value("at_usec", std::uint64_t{0})};
        pod.kernel.record = record_from(object.at("kernel"));
        pod.kernel.record.subnets = to_table(pod.request.subnets);
        return pod;
    });
}

Result<AttachRequest> request_from_json(std::string_view text) { return parse_with(text, spooled_request_from); }

}  // namespace natra::pods
