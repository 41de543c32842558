// SPDX-License-Identifier: Apache-2.0
#include "dbus/values.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <time.h>

#include <algorithm>
#include <cctype>

namespace natra::dbus {
namespace {

using Code = Error::Code;

template <class T> constexpr const char* type_name = "";
template <> constexpr const char* type_name<std::string> = "s";
template <> constexpr const char* type_name<std::uint64_t> = "t";
template <> constexpr const char* type_name<bool> = "b";
template <> constexpr const char* type_name<std::vector<std::string>> = "as";
template <> constexpr const char* type_name<std::map<std::string, std::string>> = "a{ss}";

// Leaves `out` alone when the key is absent.
template <class T> Result<void> read(const Dictionary& from, const std::string& key, T& out) {
    const auto it = from.find(key);
    if (it == from.end()) return {};
    if (!it->second.template containsValueOfType<T>()) {
        const std::string found = it->second.peekValueType();
        return fail(Code::invalid_argument, key, ": type ", found, ", expected ", type_name<T>);
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

std::string address(const __u8 (&bytes)[16], std::uint16_t ethertype) {
    char text[INET6_ADDRSTRLEN] = "";
    if (ethertype == 0x0800) ::inet_ntop(AF_INET, bytes, text, sizeof text);
    if (ethertype == 0x86dd) ::inet_ntop(AF_INET6, bytes, text, sizeof text);
    return text;
}

std::string protocol(std::uint8_t number, std::uint16_t ethertype) {
    if (ethertype != 0x0800 && ethertype != 0x86dd) {
        char text[16];
        std::snprintf(text, sizeof text, "0x%04x", static_cast<unsigned>(ethertype));
        return text;
    }
    switch (number) {
    case IPPROTO_TCP: return "tcp";
    case IPPROTO_UDP: return "udp";
    case IPPROTO_SCTP: return "sctp";
    case IPPROTO_ICMP: return "icmp";
    case IPPROTO_ICMPV6: return "icmpv6";
    default: return std::to_string(number);
    }
}

std::uint64_t monotonic_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

// bit/s over the last second: the running window and the part of the one before it that is younger than a second.
std::uint64_t rate_bps(const natra_heavy_flow& flow, std::uint64_t now_ns) {
    constexpr std::uint64_t window_ns = 1'000'000'000;
    const auto age = now_ns - flow.window_start_ns;
    if (now_ns < flow.window_start_ns || age >= 2 * window_ns) return 0;
    if (age >= window_ns) {
        const auto share = static_cast<double>(2 * window_ns - age) / window_ns;
        return static_cast<std::uint64_t>(static_cast<double>(flow.window_bytes) * share * 8);
    }
    const auto share = static_cast<double>(window_ns - age) / window_ns;
    const auto bytes = static_cast<double>(flow.window_bytes) + static_cast<double>(flow.previous_window_bytes) * share;
    return static_cast<std::uint64_t>(bytes * 8);
}

Dictionary to_dictionary(const natra_heavy_flow& flow, std::uint64_t now_ns) {
    const auto ethertype = ntohs(flow.key.ethertype);
    Dictionary out;
    out["Protocol"] = sdbus::Variant(protocol(flow.key.protocol, ethertype));
    out["Source"] = sdbus::Variant(address(flow.key.saddr, ethertype));
    out["SourcePort"] = sdbus::Variant(ntohs(flow.key.sport));
    out["Destination"] = sdbus::Variant(address(flow.key.daddr, ethertype));
    out["DestinationPort"] = sdbus::Variant(ntohs(flow.key.dport));
    out["RateBps"] = sdbus::Variant(rate_bps(flow, now_ns));
    out["Bytes"] = sdbus::Variant(std::uint64_t{flow.bytes});
    out["Packets"] = sdbus::Variant(std::uint32_t{flow.packets});
    out["MarkedPackets"] = sdbus::Variant(std::uint32_t{flow.marked_packets});
    out["DroppedPackets"] = sdbus::Variant(std::uint32_t{flow.dropped_packets});
    out["DroppedBytes"] = sdbus::Variant(std::uint64_t{flow.dropped_bytes});
    out["FirstSeenUsec"] = sdbus::Variant(std::uint64_t{flow.first_ns / 1000});
    out["LastSeenUsec"] = sdbus::Variant(std::uint64_t{flow.last_ns / 1000});
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
            {"HeavyTableMisses", instance->heavy_table_misses()},
            {"UnparsedPackets", instance->unparsed_packets()}};
}

std::vector<Dictionary> flows_of(const datapath::Instance* instance, std::uint32_t top) {
    if (instance == nullptr) return {};
    const auto now_ns = monotonic_ns();
    auto flows = instance->heavy_flows();
    std::sort(flows.begin(), flows.end(), [now_ns](const auto& a, const auto& b) {
        const auto rate_a = rate_bps(a, now_ns);
        const auto rate_b = rate_bps(b, now_ns);
        return rate_a != rate_b ? rate_a > rate_b : a.bytes > b.bytes;
    });
    if (top != 0 && flows.size() > top) flows.resize(top);
    std::vector<Dictionary> out;
    out.reserve(flows.size());
    for (const auto& flow : flows) out.push_back(to_dictionary(flow, now_ns));
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
    return compat::error(concat("io.natra.Error.", name()), error.what);
}

}  // namespace natra::dbus
