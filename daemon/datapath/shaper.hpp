// SPDX-License-Identifier: Apache-2.0
// Which shaper a direction gets, and the qdisc that goes with it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "daemon/datapath/features.hpp"
#include "daemon/datapath/netlink.hpp"
#include "daemon/datapath/record.hpp"

namespace natra::datapath {

// The shapers to try for a direction: the one that is wished for, be it said to be missing, then
// the others, best first: edt > htb > police. Never edt where that is to be avoided.
std::vector<Shaper> shaper_candidates(const Features& features, const Wish& wish);
// "htb by configuration", "htb: best that works here (edt: ...)". skipped: what was tried before.
std::string shaper_reason(Shaper shaper, const Wish& wish, std::string_view skipped);

// police needs no qdisc and sits where the pod cannot reach it: on the host-side
// device in both directions. The others hold packets back on the device that
// transmits them: inside the pod for egress.
bool on_pod_side(Shaper shaper, Direction direction);

// Of the shaper's root qdisc; not for police, which has none.
std::uint32_t shaper_handle(Shaper shaper);

HtbShape htb_shape(const Rate& rate, const natra_config& config);
// As many packets as the program lets wait, however short they are.
FqShape fq_shape(const Rate& rate, const natra_config& config);
FqShape larger(const FqShape& a, const FqShape& b);

// Installs the root qdisc of a shaper (nothing for police). Replaces natra's own
// leftovers, never others' qdiscs: those give EEXIST.
Result<void> add_shaper_qdisc(Netlink& netlink, int ifindex, Shaper shaper, const Rate& rate,
                              const natra_config& config);
// From one of natra's qdiscs to the other (edt and htb, in either order), without a moment without one. On
// failure the old one is there.
Result<void> replace_shaper_qdisc(Netlink& netlink, int ifindex, Shaper from, Shaper to, const Rate& rate,
                                  const natra_config& before, const natra_config& after);
Result<void> remove_shaper_qdisc(Netlink& netlink, int ifindex, Shaper shaper);
// Whether the qdisc of the shaper is the device's root.
Result<bool> shaper_qdisc_in_force(Netlink& netlink, int ifindex, Shaper shaper);

}  // namespace natra::datapath
