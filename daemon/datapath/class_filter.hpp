// SPDX-License-Identifier: Apache-2.0
// The filter of natra's HTB qdisc, which finds the class that the program chose (bpf/natra_class.bpf.c). Without it
// all packets are in the class of heavy flows: limited, but none goes first.
#pragma once

#include "daemon/datapath/netlink.hpp"

namespace natra::datapath {

// Behind every other filter of the qdisc. Fails where natra's HTB is not the root.
Result<void> add_class_filter(Netlink& netlink, int ifindex);
// False as well where there is no such qdisc.
Result<bool> has_class_filter(Netlink& netlink, int ifindex);

}  // namespace natra::datapath
