// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/placement.hpp"

#include <linux/if_arp.h>

#include "daemon/datapath/shaper.hpp"

namespace natra::datapath {
namespace {

constexpr std::string_view ipvlan_l3s = "ipvlan l3s";

}  // namespace

Placement placement_of(const AttachmentRecord& record, Shaper shaper, Direction direction) {
    const bool egress = direction == Direction::egress;
    if (!has_queue(record, direction)) return {.pod_side = true, .device_egress = false};
    if (!record.has_host_side()) return {.pod_side = true, .device_egress = true};
    // Policing what leaves the pod happens where it arrives at the host.
    return {.pod_side = on_pod_side(shaper, direction), .device_egress = !(shaper == Shaper::police && egress)};
}

bool has_queue(const AttachmentRecord& record, Direction direction) {
    return direction == Direction::egress || (record.has_host_side() && !record.past_host_side);
}

std::string obstacle(const AttachmentRecord& record, Direction direction) {
    if (record.has_host_side() || direction == Direction::egress) return "";
    // Its master's IP layer delivers to the pod's sockets: skb->dev is the master, whose hooks are the node's.
    if (record.pod_kind == ipvlan_l3s)
        return concat(record.pod_device, " is an ipvlan in mode l3s: what arrives does not pass its ingress hook");
    return "";
}

bool has_link_header(const Link& link) { return link.type == ARPHRD_ETHER || link.type == ARPHRD_LOOPBACK; }

std::string kind_text(const Link& link) {
    if (link.kind.empty()) return "device";
    if (link.kind != "ipvlan" || !link.ipvlan_mode) return link.kind;
    switch (*link.ipvlan_mode) {
    case 0: return "ipvlan l2";
    case 1: return "ipvlan l3";
    case 2: return std::string(ipvlan_l3s);
    default: return link.kind;
    }
}

}  // namespace natra::datapath
