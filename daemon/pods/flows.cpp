// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/flows.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstdio>

#include "daemon/util/clock.hpp"

namespace natra::pods {
namespace {

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

Flow to_flow(const natra_heavy_flow& flow, std::uint64_t limit_bps, std::uint64_t now_ns) {
    const auto ethertype = ntohs(flow.key.ethertype);
    const auto rate = rate_bps(flow, now_ns);
    return {.protocol = protocol(flow.key.protocol, ethertype),
            .source = address(flow.key.saddr, ethertype),
            .source_port = ntohs(flow.key.sport),
            .destination = address(flow.key.daddr, ethertype),
            .destination_port = ntohs(flow.key.dport),
            .rate_bps = rate,
            .share = limit_bps == 0 ? 0.0 : static_cast<double>(rate) / static_cast<double>(limit_bps),
            .bytes = flow.bytes,
            .dropped_bytes = flow.dropped_bytes,
            .packets = flow.packets,
            .marked_packets = flow.marked_packets,
            .dropped_packets = flow.dropped_packets,
            .first_seen_usec = flow.first_ns / 1000,
            .last_seen_usec = flow.last_ns / 1000};
}

}  // namespace

std::vector<Flow> heavy_flows(const datapath::Instance* instance, std::uint64_t limit_bps, std::size_t top) {
    if (instance == nullptr) return {};
    const auto now_ns = monotonic_ns();
    std::vector<Flow> out;
    for (const auto& flow : instance->heavy_flows()) out.push_back(to_flow(flow, limit_bps, now_ns));
    std::sort(out.begin(), out.end(), [](const Flow& a, const Flow& b) {
        return a.rate_bps != b.rate_bps ? a.rate_bps > b.rate_bps : a.bytes > b.bytes;
    });
    if (top != 0 && out.size() > top) out.resize(top);
    return out;
}

}  // namespace natra::pods
