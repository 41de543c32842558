// SPDX-License-Identifier: Apache-2.0
// Where the program of a direction may sit, which depends on what the interface is.
//
// A veth pair has a device on either side. Every other interface has only the one
// inside the pod's namespace: what leaves the pod passes its queue, what arrives
// passes no queue of its own, only its ingress hook. So does what arrives past a veth pair's host side.
#pragma once

#include <string>

#include "daemon/datapath/netlink.hpp"
#include "daemon/datapath/record.hpp"

namespace natra::datapath {

struct Placement {
    bool pod_side = false;      // on the device inside the pod's namespace
    bool device_egress = true;  // at that device's egress hook, else its ingress hook
};

Placement placement_of(const AttachmentRecord& record, Shaper shaper, Direction direction);

// Whether packets of that direction pass a queue that could hold them back. If not, they can only be policed.
bool has_queue(const AttachmentRecord& record, Direction direction);

// Why nothing on the interface can hold the direction at a rate, for the operator; empty if something can.
std::string obstacle(const AttachmentRecord& record, Direction direction);

// Whether packets have an Ethernet header there. Those of tun, wireguard, ipip and their like begin with the IP header.
bool has_link_header(const Link& link);

// "veth", "ipvlan l3s", "macvlan", ...; "device" where the kernel has no word for the kind.
std::string kind_text(const Link& link);

}  // namespace natra::datapath
