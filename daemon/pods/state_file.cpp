// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/state_file.hpp"

#include <limits>
#include <new>
#include <stdexcept>
#include <utility>

#include "daemon/pods/json_reader.hpp"
#include "daemon/pods/subnets.hpp"

namespace natra::pods {
namespace {

using json = cni::Json;
using Code = Error::Code;
using datapath::AttachmentRecord;
using datapath::ShapingRecord;

constexpr int format_version = 1;

// Beyond these a number is none that natrad wrote, or none that it would accept from a caller.
constexpr std::uint64_t max_ifindex = std::numeric_limits<std::int32_t>::max();
constexpr std::uint64_t max_word = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t max_priority = 0xffff;
constexpr std::uint64_t max_count = std::numeric_limits<std::int64_t>::max();
constexpr std::uint64_t max_asked_burst_bits = limits::burst_limit_bits - 1;
constexpr std::uint64_t any_number = std::numeric_limits<std::uint64_t>::max();

// An absent key is "auto". parse(key, text) returns a Result.
template <class Parse> auto parsed(const JsonReader& from, const char* key, Parse parse) {
    auto value = parse(from.path_of(key), from.text(key, "auto"));
    if (!value) throw std::invalid_argument(value.error().what);
    return *std::move(value);
}

std::uint32_t narrow(std::uint64_t checked) { return static_cast<std::uint32_t>(checked); }

// Looks a name up; lookup returns an optional.
template <class Lookup> auto named(const JsonReader& from, const char* key, const char* what, Lookup lookup) {
    const auto value = lookup(from.text(key));
    if (!value) from.refuse(key, what);
    return *value;
}

json to_object(const limits::Limit& limit) {
    return {{"rate_bps", limit.rate_bps},
            {"burst_bits", limit.burst_bits},
            {"source", to_string(limit.source)},
            {"heavy_threshold_bytes", limit.heavy_threshold_bytes}};
}

limits::Limit limit_from(const JsonReader& object) {
    return {.rate_bps = object.number("rate_bps", 0, limits::max_rate_bps),
            .burst_bits = object.number("burst_bits", 0, max_asked_burst_bits),
            .source = limits::source_from(object.text("source")).value_or(limits::Source::none),
            .heavy_threshold_bytes = object.number("heavy_threshold_bytes", 0, limits::max_heavy_threshold_bytes, 0)};
}

json to_object(const DirectionOverride& change) {
    auto out = json::object();
    if (change.rate_bps) out["rate_bps"] = *change.rate_bps;
    if (change.burst_bits) out["burst_bits"] = *change.burst_bits;
    return out;
}

DirectionOverride override_from(const JsonReader& object) {
    DirectionOverride out;
    if (object.has("rate_bps")) out.rate_bps = object.number("rate_bps", 0, limits::max_rate_bps);
    if (object.has("burst_bits")) out.burst_bits = object.number("burst_bits", 0, max_asked_burst_bits);
    return out;
}

json to_object(const Pins& pins) {
    return {{"attach_mode", to_string(pins.attach_mode)},
            {"edt_pacing", to_string(pins.edt_pacing)},
            {"shaper", shaper_text(pins.shaper)}};
}

// Keys as to_object() names them, or as Attach does; absent ones at their defaults.
Pins pins_from(const JsonReader& object, const char* attach_mode, const char* edt_pacing, const char* shaper) {
    return {.attach_mode = parsed(object, attach_mode, parse_attach_mode),
            .edt_pacing = parsed(object, edt_pacing, parse_edt_pacing),
            .shaper = parsed(object, shaper, parse_shaper)};
}

// What an earlier natrad, which knew of no pins, wrote has none.
Pins pins_from(const JsonReader& object) {
    return object.has("pins") ? pins_from(object.object("pins"), "attach_mode", "edt_pacing", "shaper") : Pins();
}

json to_object(const datapath::Wish& wish) {
    return {{"attach_mode", to_string(wish.attach_mode)},
            {"attach_mode_by", wish.attach_mode_by},
            {"shaper", shaper_text(wish.shaper)},
            {"avoid_edt", wish.avoid_edt},
            {"shaper_by", wish.shaper_by}};
}

datapath::Wish wish_from(const JsonReader& object) {
    datapath::Wish out;
    if (!object.has("wish")) return out;
    const auto wish = object.object("wish");
    out.attach_mode = named(wish, "attach_mode", "an attach mode", datapath::attach_mode_from);
    out.attach_mode_by = wish.text("attach_mode_by");
    out.shaper = datapath::shaper_from(wish.text("shaper"));
    out.avoid_edt = wish.flag("avoid_edt");
    out.shaper_by = wish.text("shaper_by");
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
            {"reason", shaping->reason.shaper},
            {"hook_reason", shaping->reason.hook},
            {"provisional", shaping->provisional},
            {"heavy_threshold_bytes", shaping->rate.heavy_threshold_bytes}};
}

// Bursts are those of a policy that may have made seconds of the rate of them.
std::optional<ShapingRecord> shaping_from(const JsonReader& record, const char* direction) {
    if (record.is_null(direction)) return std::nullopt;
    const auto object = record.object(direction);
    const datapath::HookRecord hook{.kind = named(object, "hook", "a hook", datapath::hook_kind_from),
                                    .device_egress = object.flag("device_egress"),
                                    .made_clsact = object.flag("made_clsact"),
                                    .priority = narrow(object.number("priority", 0, max_priority)),
                                    .handle = narrow(object.number("handle", 0, max_word)),
                                    .behind = object.flag("behind", false)};
    return ShapingRecord{.rate = {.rate_bps = object.number("rate_bps", 1, limits::max_rate_bps),
                                  .burst_bits = object.number("burst_bits", 0, max_count),
                                  .heavy_threshold_bytes =
                                      object.number("heavy_threshold_bytes", 0, limits::max_heavy_threshold_bytes, 0)},
                         .shaper = named(object, "shaper", "a shaper", datapath::shaper_from),
                         .pod_side = object.flag("pod_side"),
                         .hook = hook,
                         // An earlier natrad wrote both in one text.
                         .reason = {.shaper = object.text("reason"), .hook = object.text("hook_reason", "")},
                         .backstop = object.flag("backstop", false),
                         .provisional = object.text("provisional", "")};
}

json to_object(const AttachmentRecord& record) {
    return {{"netns_path", record.netns_path},        {"netns_dev", record.netns.dev},
            {"netns_ino", record.netns.ino},          {"netns_cookie", record.netns_cookie},
            {"pod_device", record.pod_device},        {"pod_kind", record.pod_kind},
            {"pod_ifindex", record.pod_ifindex},      {"host_device", record.host_device},
            {"host_ifindex", record.host_ifindex},    {"ingress", to_object(record.ingress)},
            {"egress", to_object(record.egress)},     {"wish", to_object(record.wish)},
            {"stock_root", record.stock_root},        {"pod_link_header", record.pod_link_header},
            {"past_host_side", record.past_host_side}};
}

AttachmentRecord record_from(const JsonReader& object) {
    AttachmentRecord out;
    out.netns_path = object.text("netns_path");
    out.netns.dev = object.number("netns_dev", 0, any_number);
    out.netns.ino = object.number("netns_ino", 0, any_number);
    out.netns_cookie = object.number("netns_cookie", 0, any_number, 0);
    out.pod_device = object.text("pod_device");
    out.pod_kind = object.text("pod_kind", "");
    out.pod_link_header = object.flag("pod_link_header", true);
    out.pod_ifindex = static_cast<int>(object.number("pod_ifindex", 1, max_ifindex));
    out.host_device = object.text("host_device");
    out.host_ifindex = static_cast<int>(object.number("host_ifindex", 0, max_ifindex));
    out.wish = wish_from(object);
    out.stock_root = object.flag("stock_root", false);
    out.past_host_side = object.flag("past_host_side", false);
    out.ingress = shaping_from(object, "ingress");
    out.egress = shaping_from(object, "egress");
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

limits::SubnetRules subnets_from(const JsonReader& object, const char* shaped, const char* unshaped) {
    auto rules = limits::parse_subnet_rules(object.texts(shaped), object.texts(unshaped));
    if (!rules) throw std::invalid_argument(rules.error().what);
    return *std::move(rules);
}

AttachRequest request_from(const JsonReader& object) {
    AttachRequest out;
    out.container_id = object.text("container_id");
    out.interface_name = object.text("interface_name");
    out.network = object.text("network");
    out.netns_path = object.text("netns_path");
    out.pod_namespace = object.text("pod_namespace");
    out.pod_name = object.text("pod_name");
    out.pod_uid = object.text("pod_uid");
    out.limits = {.ingress = limit_from(object.object("ingress")), .egress = limit_from(object.object("egress"))};
    out.honour_filler_bursts = object.flag("honour_filler_bursts");
    out.subnets = subnets_from(object, "shaped_subnets", "unshaped_subnets");
    out.warnings = object.texts("warnings");
    out.annotated = object.flag("annotated", false);
    out.pins = pins_from(object);
    return out;
}

limits::Annotations annotations_from(const JsonReader& request) {
    limits::Annotations out;
    if (!request.has("Annotations")) return out;
    const auto object = request.object("Annotations");
    for (const auto& [key, value] : object.value().items()) out[key] = object.text(key.c_str());
    return out;
}

// Fields as the shim writes them, absent ones at their defaults. validate() knows the ranges of limits.
AttachRequest spooled_request_from(const JsonReader& object) {
    AttachRequest out;
    const auto limit = [&](const char* rate, const char* burst, const char* source) {
        const auto from = limits::source_from(object.text(source, "none"));
        return limits::Limit{.rate_bps = object.number(rate, 0, limits::max_rate_bps, 0),
                             .burst_bits = object.number(burst, 0, any_number, 0),
                             .source = from.value_or(limits::Source::none)};
    };
    out.container_id = object.text("ContainerId");
    out.interface_name = object.text("InterfaceName");
    out.netns_path = object.text("NetnsPath");
    out.network = object.text("Network", "");
    out.pod_namespace = object.text("PodNamespace", "");
    out.pod_name = object.text("PodName", "");
    out.pod_uid = object.text("PodUid", "");
    out.host_interfaces = object.texts("HostInterfaces");
    out.opened = {.netns = {.dev = object.number("NetnsDevice", 0, any_number, 0),
                            .ino = object.number("NetnsInode", 0, any_number, 0)},
                  .netns_cookie = object.number("NetnsCookie", 0, any_number, 0),
                  .ifindex = static_cast<int>(object.number("InterfaceIndex", 0, max_ifindex, 0)),
                  .mac = object.text("InterfaceAddress", "")};
    out.strict_interfaces = object.flag("StrictInterfaces", false);
    out.limits = {.ingress = limit("IngressRate", "IngressBurst", "IngressSource"),
                  .egress = limit("EgressRate", "EgressBurst", "EgressSource")};
    out.honour_filler_bursts = object.text("BurstPolicy", "default") == "runtime";
    out.subnets = subnets_from(object, "ShapedSubnets", "UnshapedSubnets");
    out.annotations = annotations_from(object);
    out.pins = pins_from(object, "AttachMode", "EdtPacing", "Shaper");
    return out;
}

Pod pod_from(const JsonReader& object) {
    if (object.number("version", 0, any_number) != format_version)
        object.refuse("version", concat(format_version, ", the format that this natrad knows"));
    Pod pod;
    pod.attached_at_usec = object.number("attached_at_usec", 0, max_count);
    pod.tamper_events = object.number("tamper_events", 0, max_count, 0);
    pod.request = request_from(object.object("request"));
    const auto changes = object.object("override");
    pod.changes = {.ingress = override_from(changes.object("ingress")),
                   .egress = override_from(changes.object("egress")),
                   .pins = pins_from(changes),
                   .by = changes.text("by", ""),
                   .at_usec = changes.number("at_usec", 0, max_count, 0)};
    pod.kernel.record = record_from(object.object("kernel"));
    pod.kernel.record.subnets = to_table(pod.request.subnets);
    return pod;
}

template <class Parse> auto parse_with(std::string_view text, Parse parse)
    -> Result<decltype(parse(std::declval<const JsonReader&>()))> {
    try {
        const auto document = cni::parse_json(text);
        if (!document) return document.error();
        return parse(JsonReader(*document));
    } catch (const std::bad_alloc&) {
        return fail(Code::internal, "no memory for it");
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

Result<Pod> pod_from_json(std::string_view text) { return parse_with(text, pod_from); }

Result<AttachRequest> request_from_json(std::string_view text) { return parse_with(text, spooled_request_from); }

}  // namespace natra::pods
