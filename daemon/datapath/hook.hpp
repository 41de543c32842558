// SPDX-License-Identifier: Apache-2.0
// Where the program sits: a tcx link or a clsact filter on one device.
#pragma once

#include <string>

#include "daemon/datapath/netlink.hpp"
#include "daemon/datapath/netns.hpp"
#include "daemon/datapath/record.hpp"
#include "daemon/datapath/wish.hpp"

namespace natra::datapath {

// One hook of one device, with the means to reach it.
struct HookPoint {
    Netlink& netlink;     // opened in the device's namespace
    NetnsWorker& worker;  // tcx calls must be made from inside it
    int netns_fd = -1;    // -1: the host's
    int ifindex = 0;
    std::string device;
    bool device_egress = true;
    std::string link_pin;  // where a tcx link is pinned
};

// The rule: tcx where others' classifiers sit, since it runs before them; clsact
// where the hook is ours alone, since attaching tcx waits for an RCU grace period
// (8-24 ms) while it holds RTNL and clsact takes 0.1 ms.
// made_clsact tells of a clsact qdisc that this call made; on failure it is gone again.
struct AttachedHook {
    HookRecord record;
    std::string reason;
    bool first = true;        // false: a foreign classifier runs before it and may end the chain
    std::string provisional;  // see ShapingRecord::provisional
};
// clsact_is_ours: a filter of this attachment's other direction sits on the device's clsact qdisc.
// other_prog: id of that direction's program, which may be on the same qdisc; 0: none.
Result<AttachedHook> attach_hook(const HookPoint& point, int prog_fd, AttachMode mode, bool kernel_has_tcx,
                                 bool clsact_is_ours, std::uint32_t other_prog = 0);

// The hook that is wished for, or the best that works, and says so. shared_clsact: a filter of this
// attachment's other direction sits on the device's clsact qdisc; other_prog as above.
Result<AttachedHook> attach_as_wished(const HookPoint& point, int prog_fd, const Wish& wish, bool kernel_has_tcx,
                                      bool shared_clsact, std::uint32_t other_prog);

// "clsact by configuration": the reason for a hook that is the one that the wish names.
std::string by_wish(const Wish& wish);
// The reason for a hook on the HTB qdisc, with what the wish names instead.
std::string htb_reason(const Wish& wish);

// Which hook the rule chooses for a program that is attached already.
struct PreferredHook {
    HookKind kind = HookKind::clsact;
    std::string reason;
};
Result<PreferredHook> preferred_hook(const HookPoint& point, std::uint32_t prog_id, bool kernel_has_tcx);

// Another program in the place of natra's that the record names, whatever that one is. In one step: each packet meets
// one of the two, and the place in the chain stays. Code::mismatch where none of natra's is there.
Result<void> exchange_program(const HookPoint& point, const HookRecord& record, int prog_fd);

// Takes away every clsact filter of natra's at this hook, whoever recorded it.
void drop_own_filters(const HookPoint& point);

// The program no longer runs there when it returns; detach_hook() alone leaves that to the kernel's leisure.
void silence_hook(const HookPoint& point, const HookRecord& record);

// Absent is success. Removes what carries prog_id (0: not known; then what carries natra's name), never
// others' filters that have come to the same place. keep_clsact: the other direction still needs the qdisc.
Result<void> detach_hook(const HookPoint& point, const HookRecord& record, std::uint32_t prog_id, bool keep_clsact);

// Removes the device's clsact qdisc unless there are filters on it, at either hook. Absent is success.
Result<void> remove_clsact_if_empty(const HookPoint& point);

enum class HookState : std::uint8_t {
    absent,
    overtaken,  // there, but behind a foreign classifier, which may end the chain
    first,
};
// Of prog_id at the place that the record names.
Result<HookState> hook_state(const HookPoint& point, const HookRecord& record, std::uint32_t prog_id);

// Puts an overtaken program first again. From clsact it moves to tcx where there is one, and else ahead of
// the others' filters; it is attached to its new place before it leaves the old one. On tcx it has to leave
// first: the kernel takes a program only once a hook. Where mode keeps it on clsact behind others on tcx it stays
// and is not first. On failure it is where it was, or absent (tcx).
Result<AttachedHook> retake_hook(const HookPoint& point, const HookRecord& record, int prog_fd, std::uint32_t prog_id,
                                 AttachMode mode, bool kernel_has_tcx);

}  // namespace natra::datapath
