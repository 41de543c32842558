// SPDX-License-Identifier: Apache-2.0
// What natrad put into the kernel for one attachment: plain values, persisted by
// pods/ so that a later natrad finds it again.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "daemon/datapath/instance.hpp"
#include "daemon/datapath/netns.hpp"
#include "daemon/datapath/parameters.hpp"
#include "daemon/datapath/tc_monitor.hpp"
#include "daemon/datapath/wish.hpp"

namespace natra::datapath {

// rate in bit/s (never 0 here), burst in bits (0: the shaper's default), threshold in bytes (0: the default).
struct Rate {
    std::uint64_t rate_bps = 0;
    std::uint64_t burst_bits = 0;
    std::uint64_t heavy_threshold_bytes = 0;
    friend bool operator==(const Rate&, const Rate&) = default;
};

// An absent direction is not limited.
struct Rates {
    std::optional<Rate> ingress;
    std::optional<Rate> egress;
    friend bool operator==(const Rates&, const Rates&) = default;
    [[nodiscard]] const std::optional<Rate>& of(Direction d) const {
        return d == Direction::ingress ? ingress : egress;
    }
    [[nodiscard]] std::optional<Rate>& of(Direction d) { return d == Direction::ingress ? ingress : egress; }
};

// htb: a filter of natra's own HTB qdisc, where nothing else is to be had. The filter that chooses the class
// comes behind it.
enum class HookKind : std::uint8_t { tcx, clsact, htb };

struct HookRecord {
    HookKind kind = HookKind::clsact;
    bool device_egress = true;   // the device's egress hook, else its ingress hook
    bool made_clsact = false;    // the clsact qdisc is ours to remove
    std::uint32_t priority = 0;  // of the clsact filter
    std::uint32_t handle = 0;    // of the clsact filter
    bool behind = false;         // a foreign classifier runs first and could not be overtaken
};

// Why a direction has its shaper and its hook, for the operator: a clause each, which is replaced with what it is
// about.
struct Reason {
    std::string shaper;
    std::string hook;
    // "edt: best that works here; clsact: the hook is ours alone"
    [[nodiscard]] std::string text() const;
    friend bool operator==(const Reason&, const Reason&) = default;
};

// One limited direction.
struct ShapingRecord {
    Rate rate;
    Shaper shaper = Shaper::police;
    bool pod_side = false;  // on the device inside the pod's namespace, else on its host-side peer
    HookRecord hook;
    Reason reason;
    // Egress of a pod that undid or bypassed its own side: policed where it cannot reach, until an operator
    // sets or resets its limits.
    bool backstop = false;
    // Why a better hook or shaper could not be had, if the cause may pass: the next looks try again. Empty: this is the
    // best that works.
    std::string provisional;
};

struct AttachmentRecord {
    std::string id;          // names the pins
    std::string netns_path;  // may be empty: then the pod's side cannot be reached later
    NetnsId netns;
    std::uint64_t netns_cookie = 0;  // never used again until the next boot, unlike netns; 0 before Linux 5.14
    std::string pod_device;
    std::string pod_kind;         // see kind_text(); empty if a natrad wrote it that knew veth pairs only
    bool pod_link_header = true;  // see has_link_header()
    int pod_ifindex = 0;
    std::string host_device;  // a veth pair's end on the host; empty and 0 for every other interface
    int host_ifindex = 0;
    [[nodiscard]] bool has_host_side() const { return host_ifindex != 0; }
    natra_subnets subnets{};  // where remote addresses decide what is limited
    Wish wish;                // what start() and switch_to() went by
    // The stock plugin's root qdisc could not be taken from host_device when the pod was taken over: mend() does it.
    bool stock_root = false;
    // Packets reach the pod past its host side, so ingress is policed inside the pod.
    bool past_host_side = false;
    std::optional<ShapingRecord> ingress;
    std::optional<ShapingRecord> egress;
    [[nodiscard]] const std::optional<ShapingRecord>& of(Direction d) const {
        return d == Direction::ingress ? ingress : egress;
    }
    [[nodiscard]] std::optional<ShapingRecord>& of(Direction d) { return d == Direction::ingress ? ingress : egress; }
    [[nodiscard]] Rates rates() const;
};

// A record and its live programs. A value: the core thread keeps a copy to read
// counters from while the kernel worker makes the next one.
struct Attached {
    AttachmentRecord record;
    int nsid = host_nsid;  // of the pod's namespace, as the tc monitor names it; host_nsid if it has none
    std::shared_ptr<Instance> ingress;
    std::shared_ptr<Instance> egress;
    [[nodiscard]] const std::shared_ptr<Instance>& instance(Direction d) const {
        return d == Direction::ingress ? ingress : egress;
    }
    [[nodiscard]] std::shared_ptr<Instance>& instance(Direction d) {
        return d == Direction::ingress ? ingress : egress;
    }
};

inline constexpr Direction directions[] = {Direction::ingress, Direction::egress};

std::string_view to_string(Direction direction);  // "ingress", "egress"
std::string_view to_string(Shaper shaper);        // "edt", "htb", "police"
std::string_view to_string(HookKind kind);        // "tcx", "clsact", "htb"
std::optional<Shaper> shaper_from(std::string_view name);
std::optional<HookKind> hook_kind_from(std::string_view name);

// "veth1a2b (ifindex 7)", or "eth0 (ifindex 3) in /run/netns/x": what an attachment lives and dies with.
std::string describe_device(const AttachmentRecord& record);
// What of the record's wish this direction lacks, as a sentence; empty if nothing.
std::string unmet_wish(const AttachmentRecord& record, Direction direction);

// "clsact egress veth1a2b": where a direction's program sits.
std::string describe_hook(const AttachmentRecord& record, const ShapingRecord& shaping);

}  // namespace natra::datapath
