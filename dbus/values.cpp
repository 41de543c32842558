// SPDX-License-Identifier: Apache-2.0
#include "dbus/values.hpp"

#include <charconv>
#include <iterator>
#include <limits>

#include "daemon/datapath/counters.hpp"
#include "daemon/pods/flows.hpp"
#include "daemon/util/shortened.hpp"
#include "daemon/util/utf8.hpp"

namespace natra::dbus {
namespace {

using Code = Error::Code;

template <class T> constexpr const char* type_name = "";
template <> constexpr const char* type_name<std::string> = "s";
template <> constexpr const char* type_name<std::uint64_t> = "t";
template <> constexpr const char* type_name<bool> = "b";
template <> constexpr const char* type_name<std::vector<std::string>> = "as";
template <> constexpr const char* type_name<std::map<std::string, std::string>> = "a{ss}";

template <class Text> void show_text(const sdbus::Variant& value, std::string& out) {
    if (value.containsValueOfType<Text>()) out = concat("\"", shortened(value.get<Text>()), "\" ");
}

template <class Number> void show_number(const sdbus::Variant& value, std::string& out) {
    if (!value.containsValueOfType<Number>()) return;
    char digits[32];
    const auto end = std::to_chars(std::begin(digits), std::end(digits), value.get<Number>());
    out = concat(std::string_view(digits, static_cast<std::size_t>(end.ptr - digits)), " ");
}

// What a caller gave instead of what is expected, with a space behind it; empty for containers and descriptors.
std::string shown(const sdbus::Variant& value) {
    std::string out;
    if (value.containsValueOfType<bool>()) out = value.get<bool>() ? "true " : "false ";
    const auto texts = [&]<class... Texts>() { (show_text<Texts>(value, out), ...); };
    texts.operator()<std::string, sdbus::ObjectPath, sdbus::Signature>();
    const auto numbers = [&]<class... Numbers>() { (show_number<Numbers>(value, out), ...); };
    numbers.operator()<std::uint8_t, std::int16_t, std::uint16_t, std::int32_t, std::uint32_t, std::int64_t,
                       std::uint64_t, double>();
    return out;
}

// Leaves `out` alone when the key is absent.
template <class T> Result<void> read(const Dictionary& from, const std::string& key, T& out) {
    const auto it = from.find(key);
    if (it == from.end()) return {};
    if (!it->second.template containsValueOfType<T>()) {
        const std::string found = it->second.peekValueType();
        return fail(Code::invalid_argument, key, ": ", shown(it->second), "is of type ", found, ", expected ",
                    type_name<T>);
    }
    out = it->second.template get<T>();
    return {};
}

Result<void> read(const Dictionary& from, const std::string& key, std::optional<std::uint64_t>& out) {
    if (!from.contains(key)) return {};
    std::uint64_t value = 0;
    if (auto r = read(from, key, value); !r) return r;
    out = value;
    return {};
}

Result<void> read_limit(const Dictionary& from, const std::string& direction, limits::Limit& out) {
    std::string source = "none";
    if (auto r = read(from, direction + "Rate", out.rate_bps); !r) return r;
    if (auto r = read(from, direction + "Burst", out.burst_bits); !r) return r;
    if (auto r = read(from, direction + "Source", source); !r) return r;
    const auto known = limits::source_from(source);
    if (!known) return fail(Code::invalid_argument, direction, "Source: \"", source, "\" is not a source of limits");
    out.source = *known;
    return {};
}

// Which interface the caller has open.
Result<void> read_opened(const Dictionary& from, datapath::OpenedInterface& out) {
    std::uint64_t ifindex = 0;
    if (auto r = read(from, "NetnsDevice", out.netns.dev); !r) return r;
    if (auto r = read(from, "NetnsInode", out.netns.ino); !r) return r;
    if (auto r = read(from, "NetnsCookie", out.netns_cookie); !r) return r;
    if (auto r = read(from, "InterfaceIndex", ifindex); !r) return r;
    if (ifindex > std::numeric_limits<int>::max())
        return fail(Code::invalid_argument, "InterfaceIndex: ", ifindex, " is no index of an interface");
    out.ifindex = static_cast<int>(ifindex);
    return read(from, "InterfaceAddress", out.mac);
}

Dictionary to_dictionary(const pods::Flow& flow) {
    Dictionary out;
    out["Protocol"] = sdbus::Variant(flow.protocol);
    out["Source"] = sdbus::Variant(flow.source);
    out["SourcePort"] = sdbus::Variant(flow.source_port);
    out["Destination"] = sdbus::Variant(flow.destination);
    out["DestinationPort"] = sdbus::Variant(flow.destination_port);
    out["RateBps"] = sdbus::Variant(flow.rate_bps);
    out["Share"] = sdbus::Variant(flow.share);
    out["Bytes"] = sdbus::Variant(flow.bytes);
    out["Packets"] = sdbus::Variant(flow.packets);
    out["MarkedPackets"] = sdbus::Variant(flow.marked_packets);
    out["DroppedPackets"] = sdbus::Variant(flow.dropped_packets);
    out["DroppedBytes"] = sdbus::Variant(flow.dropped_bytes);
    out["FirstSeenUsec"] = sdbus::Variant(flow.first_seen_usec);
    out["LastSeenUsec"] = sdbus::Variant(flow.last_seen_usec);
    return out;
}

}  // namespace

Result<pods::AttachRequest> request_from(const Dictionary& request) {
    pods::AttachRequest out;
    std::string burst_policy = "default";
    const std::pair<const char*, std::string*> texts[] = {
        {"ContainerId", &out.container_id}, {"InterfaceName", &out.interface_name}, {"Network", &out.network},
        {"NetnsPath", &out.netns_path},     {"PodNamespace", &out.pod_namespace},   {"PodName", &out.pod_name},
        {"PodUid", &out.pod_uid},           {"BurstPolicy", &burst_policy}};
    for (const auto& [key, value] : texts)
        if (auto r = read(request, key, *value); !r) return r.error();
    if (auto r = read(request, "HostInterfaces", out.host_interfaces); !r) return r.error();
    if (auto r = read_opened(request, out.opened); !r) return r.error();
    if (auto r = read(request, "StrictInterfaces", out.strict_interfaces); !r) return r.error();
    if (auto r = read(request, "Annotations", out.annotations); !r) return r.error();
    std::vector<std::string> shaped;
    std::vector<std::string> unshaped;
    if (auto r = read(request, "ShapedSubnets", shaped); !r) return r.error();
    if (auto r = read(request, "UnshapedSubnets", unshaped); !r) return r.error();
    auto subnets = limits::parse_subnet_rules(shaped, unshaped);
    if (!subnets) return subnets.error();
    out.subnets = *std::move(subnets);
    if (auto r = read_limit(request, "Ingress", out.limits.ingress); !r) return r.error();
    if (auto r = read_limit(request, "Egress", out.limits.egress); !r) return r.error();
    std::string attach_mode = "auto";
    std::string edt_pacing = "auto";
    std::string shaper = "auto";
    if (auto r = read(request, "AttachMode", attach_mode); !r) return r.error();
    if (auto r = read(request, "EdtPacing", edt_pacing); !r) return r.error();
    if (auto r = read(request, "Shaper", shaper); !r) return r.error();
    const auto mode = pods::parse_attach_mode("AttachMode", attach_mode);
    if (!mode) return mode.error();
    const auto pacing = pods::parse_edt_pacing("EdtPacing", edt_pacing);
    if (!pacing) return pacing.error();
    const auto pinned = pods::parse_shaper("Shaper", shaper);
    if (!pinned) return pinned.error();
    out.pins = {.attach_mode = *mode, .edt_pacing = *pacing, .shaper = *pinned};
    if (burst_policy != "default" && burst_policy != "runtime")
        return fail(Code::invalid_argument, "BurstPolicy: \"", burst_policy,
                    "\" is neither \"default\" nor \"runtime\"");
    out.honour_filler_bursts = burst_policy == "runtime";
    return out;
}

Result<pods::Override> override_from(const Dictionary& limits) {
    for (const auto& [key, value] : limits)
        if (key != "IngressRate" && key != "IngressBurst" && key != "EgressRate" && key != "EgressBurst")
            return fail(Code::invalid_argument, key,
                        ": unknown limit; known are IngressRate, IngressBurst, EgressRate, EgressBurst");
    pods::Override out;
    if (auto r = read(limits, "IngressRate", out.ingress.rate_bps); !r) return r.error();
    if (auto r = read(limits, "IngressBurst", out.ingress.burst_bits); !r) return r.error();
    if (auto r = read(limits, "EgressRate", out.egress.rate_bps); !r) return r.error();
    if (auto r = read(limits, "EgressBurst", out.egress.burst_bits); !r) return r.error();
    if (!out.any()) return fail(Code::invalid_argument, "limits: none is given");
    return out;
}

Result<pods::PinsChange> pins_change_from(const Dictionary& data_path) {
    pods::PinsChange out;
    for (const auto& [key, value] : data_path) {
        std::string text;
        if (auto r = read(data_path, key, text); !r) return r.error();
        const auto take = [&](auto parsed, auto& into) -> Result<void> {
            if (!parsed) return parsed.error();
            into = *parsed;
            return {};
        };
        auto taken = key == "AttachMode"  ? take(pods::parse_attach_mode(key, text), out.attach_mode)
                     : key == "EdtPacing" ? take(pods::parse_edt_pacing(key, text), out.edt_pacing)
                     : key == "Shaper"    ? take(pods::parse_shaper(key, text), out.shaper)
                                          : Result<void>(fail(Code::invalid_argument, key,
                                                              ": unknown key; known are AttachMode, EdtPacing, Shaper"));
        if (!taken) return taken.error();
    }
    if (!out.any()) return fail(Code::invalid_argument, "data_path: nothing is given");
    return out;
}

std::map<std::string, std::string> data_path_of(const pods::Pod& pod) {
    const auto& wish = pod.kernel.record.wish;
    std::map<std::string, std::string> out;
    if (wish.attach_mode != datapath::AttachMode::automatic) {
        out["AttachMode"] = to_string(wish.attach_mode);
        out["AttachModeBy"] = wish.attach_mode_by;
    }
    if (wish.shaper) out["Shaper"] = to_string(*wish.shaper);
    if (wish.avoid_edt) out["EdtPacing"] = "off";
    if (wish.shaper || wish.avoid_edt) out["ShaperBy"] = wish.shaper_by;
    return out;
}

std::map<std::string, std::uint64_t> counters_of(const datapath::Instance* instance) {
    if (instance == nullptr) return {};
    const auto c = instance->counters();
    return {{"FastPackets", c.fast_packets},
            {"FastBytes", c.fast_bytes},
            {"PacedPackets", c.paced_packets},
            {"PacedBytes", c.paced_bytes},
            {"MarkedPackets", c.marked_packets},
            {"MarkedBytes", c.marked_bytes},
            {"DroppedPackets", c.dropped_packets},
            {"DroppedBytes", c.dropped_bytes},
            {"SpilledPackets", c.spilled_packets},
            {"SpilledBytes", c.spilled_bytes},
            {"QueueDelayNsec", c.wait_ns},
            {"HeavyTableMisses", instance->heavy_table_misses()},
            {"UnparsedPackets", instance->unparsed_packets()}};
}

std::vector<sdbus::Struct<std::uint64_t, std::uint64_t>> queue_delay_of(const datapath::Instance* instance) {
    std::vector<sdbus::Struct<std::uint64_t, std::uint64_t>> out;
    if (instance == nullptr) return out;
    const auto counters = instance->counters();
    for (std::size_t i = 0; i < NATRA_WAIT_BUCKETS; ++i) {
        const auto bound = i < datapath::wait_bounds_ns.size() ? datapath::wait_bounds_ns[i]
                                                               : std::numeric_limits<std::uint64_t>::max();
        out.emplace_back(bound, counters.wait_packets[i]);
    }
    return out;
}

std::map<std::string, double> classification_of(const datapath::Instance* instance) {
    if (instance == nullptr) return {};
    const auto accuracy = instance->accuracy();
    return {{"Occupancy", accuracy.occupancy},
            {"FalseHeavyChance", accuracy.false_heavy_chance},
            {"OverestimateBytes", static_cast<double>(accuracy.overestimate_bytes)},
            {"ThresholdBytes", static_cast<double>(accuracy.threshold_bytes)},
            {"HeavyFlows", static_cast<double>(instance->heavy_flows().size())},
            {"HeavyTableSlots", NATRA_HEAVY_SLOTS}};
}

std::vector<Dictionary> flows_of(const pods::Pod& pod, datapath::Direction direction, std::uint32_t top) {
    std::vector<Dictionary> out;
    const auto& limit = direction == datapath::Direction::ingress ? pod.effective.ingress : pod.effective.egress;
    for (const auto& flow : pods::heavy_flows(pod.kernel.instance(direction).get(), limit.rate_bps, top))
        out.push_back(to_dictionary(flow));
    return out;
}

sdbus::Error to_bus_error(const Error& error) {
    const auto name = [&]() -> const char* {
        switch (error.code) {
        case Code::invalid_argument: return "InvalidArgument";
        case Code::not_found: return "NotFound";
        case Code::already_exists: return "AlreadyExists";
        case Code::unsupported: return "Unsupported";
        case Code::no_device: return "NoDevice";
        case Code::mismatch: return "Mismatch";
        case Code::access_denied: return "AccessDenied";
        case Code::unavailable: return "Unavailable";
        case Code::kernel: return "Kernel";
        case Code::internal: return "Internal";
        }
        return "Internal";
    };
    return compat::error(concat("io.natra.Error.", name()), as_utf8(error.what));
}

}  // namespace natra::dbus
