// SPDX-License-Identifier: Apache-2.0
// Puts limits into the kernel, changes, verifies and removes them. Knows devices,
// not pods. All calls belong to one thread, the kernel worker; each either succeeds
// or leaves the kernel as it was. They block in the kernel, but wait for no time to
// pass: who lifts a limit or switches a shaper prepares that, and asks again and
// again whether it is drained.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/datapath/features.hpp"
#include "daemon/datapath/hook.hpp"
#include "daemon/datapath/instance_pool.hpp"
#include "daemon/datapath/netlink.hpp"
#include "daemon/datapath/netns.hpp"
#include "daemon/datapath/opened_interface.hpp"
#include "daemon/datapath/other_limiters.hpp"
#include "daemon/datapath/record.hpp"

namespace natra::datapath {

struct EngineSettings {
    std::string pin_root = "/sys/fs/bpf/natra";
    HeavyThreshold heavy;
    std::size_t pool_size = 128;  // 64 pods with both directions, 6 MB
};

struct AttachSpec {
    std::string id;          // names the pins: [A-Za-z0-9_], unique among attachments
    int netns_fd = -1;       // the pod's network namespace
    std::string netns_path;  // where to find it later; may be empty for a veth pair
    std::string device;      // inside the namespace
    // As the stock plugin: only a veth pair will do, and its end on the host must be among host_devices.
    bool strict = false;
    std::vector<std::string> host_devices;
    natra_subnets subnets{};
    std::string stock_ifb;    // an IFB whose presence says that the stock plugin limits this pod
    bool stock_root = false;  // the stock plugin's root qdisc on the host side says so, too
    // Else the interface is another one, Code::no_device. One that was renamed since is found by its index.
    OpenedInterface opened;
    Rates rates;
    Wish wish;
};

// What to do where a pod has undone its own side: set it up again, or police on the host's side.
enum class Remedy : std::uint8_t { put_back, backstop };

// What has to leave a direction's qdisc before that goes: all but so many bytes. Absent: nothing waits, or need not.
struct Drain {
    std::optional<std::uint64_t> ingress;
    std::optional<std::uint64_t> egress;
    [[nodiscard]] std::optional<std::uint64_t>& of(Direction d) { return d == Direction::ingress ? ingress : egress; }
    [[nodiscard]] const std::optional<std::uint64_t>& of(Direction d) const {
        return d == Direction::ingress ? ingress : egress;
    }
    [[nodiscard]] bool any() const { return ingress || egress; }
};

// What a look at an attachment found and did.
struct Mended {
    std::vector<std::string> found;   // what was amiss, a clause each; empty: all is well
    std::vector<std::string> failed;  // what could not be put right; the limit of that direction may be gone
    bool pod_side = false;            // some of it was where the pod can reach
    bool host_side = false;           // some of it was where only the host can; neither: a limit was missing, no more
    std::uint64_t took_ns = 0;
    [[nodiscard]] bool any() const { return !found.empty(); }
};

// What the host's devices carried so far, by ifindex.
struct Traffic {
    std::uint64_t now_ns = 0;  // CLOCK_MONOTONIC
    std::map<int, LinkBytes> devices;
};

// A device inside a pod, as the host's namespace finds it.
struct PodDevice {
    std::string id;  // of the attachment
    int nsid = host_nsid;
    int ifindex = 0;
};

class Engine {
public:
    // Opens the host's netlink in the calling thread's namespace, probes the kernel, fills the pool.
    static Result<std::unique_ptr<Engine>> create(EngineSettings settings);

    // A direction that the interface cannot be held to (see obstacle()) is left out of the result's record.
    Result<Attached> attach(const AttachSpec& spec);
    // Other rates. Live: packets in flight stay, but what waits behind a limit that is lifted goes with it. On failure
    // the old rates are in force; `attached` is what is in the kernel then, too: a direction that had to be started
    // anew has another program.
    Result<void> change(Attached& attached, const Rates& rates);
    // Before change(): directions that it will lift let all pass from here on. What it returns leaves without loss if
    // there is time for that.
    Drain prepare_change(const Attached& attached, const Rates& rates);
    // Which parts of a wish must not give way to what works.
    struct Insist {
        bool attach_mode = false;
        bool shaper = false;
    };
    // Another hook or shaper, under traffic, see engine_switch.cpp. On failure the old ones are in force. `attached`
    // is what is in the kernel then. What waits in a qdisc that goes is lost.
    Result<void> switch_to(Attached& attached, const Wish& wish, const Insist& insist);
    // Before switch_to(): directions whose hook or shaper it will change let no more wait than may be lost.
    Drain prepare_switch(const Attached& attached, const Wish& wish);
    // Whether all that has to leave has left; an error if that cannot be seen.
    Result<bool> drained(const Attached& attached, const Drain& drain);
    // What adopt(), mend(), switch_to() and the two backstop calls made of an attachment is recorded: the mark that
    // would make the next natrad start its moved directions anew goes.
    void confirm_switch(const std::string& id);
    // For what is attached or changed from now on.
    void set_heavy_threshold(const HeavyThreshold& heavy) { settings_.heavy = heavy; }
    // The programs get the parameters that their rates have now. Rates and qdiscs stay.
    void refresh(const Attached& attached);
    // Code::mismatch with upstream's wording where the kernel is not as recorded.
    Result<void> check(const Attached& attached, int netns_fd);
    // Succeeds when the devices or the namespace are gone. Takes the pins away in any case.
    Result<void> detach(const Attached& attached);
    // Finds an attachment that another natrad made, and puts back what is missing. A direction that
    // cannot be put back is not in the result. Code::no_device when its devices are gone.
    Result<Attached> adopt(const AttachmentRecord& record);

    // Looks whether every direction of `wanted` is in force and the first on its hook, and mends what is not,
    // with the same program where that goes. Where the pod's side cannot be put back the backstop takes over.
    // Code::no_device when the attachment's devices are gone.
    Result<Mended> mend(Attached& attached, const Rates& wanted, Remedy remedy);
    // Polices egress on the host's side from now on and takes the pod's side away, with no gap between.
    // why: a clause for the reason. Code::unsupported without a host side. On failure nothing has changed.
    Result<void> install_backstop(Attached& attached, const std::string& why);
    // Polices ingress at the pod's own ingress hook from now on, for as long as the attachment lasts, and takes the
    // host's side of it away, with no gap between. why: a clause for the reason. Code::unsupported without a host
    // side. On failure nothing has changed.
    Result<void> police_inside(Attached& attached, const std::string& why);
    // Back to the best shaper. Success if there is no backstop; on failure it stays.
    Result<void> lift_backstop(Attached& attached);
    Result<Traffic> traffic();
    // Reads the counters of the pods' own devices, by attachment, without entering their namespaces. Those that the
    // kernel says nothing about are left out.
    std::map<std::string, LinkBytes> pod_traffic(const std::vector<PodDevice>& devices);
    // For read_tc_changes(): the engine's own address on the host.
    [[nodiscard]] std::uint32_t host_port() const { return host_.port(); }

    // Whether the attachment's devices are still the ones recorded; an error if the kernel would not say.
    Result<bool> alive(const AttachmentRecord& record);
    // The namespace's interface of that name is the one recorded.
    Result<bool> same_device(const AttachmentRecord& record, int netns_fd, const std::string& device);
    // True if attach() would take the attachment's interface; false if that is gone. The error of attach() if the
    // interface is not the one that the plugin had open.
    Result<bool> is_for(const AttachmentRecord& record, const AttachSpec& spec);

    // The IFB that the stock plugin made for a pod; false if there is none.
    Result<bool> remove_stock_ifb(const std::string& name);
    Result<std::optional<Link>> find_stock_ifb(const std::string& name);

    // What others limit pods with.
    Result<OtherLimiters> other_limiters();

    // Ids of pinned attachments, and removal of those that nobody recorded.
    std::vector<std::string> pinned() const;
    void remove_pins(const std::string& id);

    [[nodiscard]] const Features& features() const { return features_; }
    [[nodiscard]] const InstancePool& pool() const { return pool_; }  // thread-safe

private:
    struct PodSide {
        UniqueFd fd;
        Netlink netlink;
    };
    // The device that an attachment is known by: the host's where there is one, else the pod's.
    struct DeviceKey {
        std::uint64_t netns_dev = 0;  // 0 and 0: the host's namespace
        std::uint64_t netns_ino = 0;
        int ifindex = 0;
        // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy takes what the compiler makes of it for a literal
        friend auto operator<=>(const DeviceKey&, const DeviceKey&) = default;
    };
    struct Owner {
        std::string id;
        std::string netns_path;
        std::uint64_t netns_cookie = 0;
    };
    static DeviceKey key_of(const AttachmentRecord& record);
    static Owner owner_of(const AttachmentRecord& record);
    Engine(EngineSettings settings, Netlink host, Features features);

    Result<PodSide> enter(int netns_fd);
    Result<PodSide> enter(const AttachmentRecord& record);
    Result<void> expect_pods(const NetnsId& netns, const std::string& path) const;
    static Result<Link> find_inside(PodSide& pod, const AttachSpec& spec);
    Result<void> find_devices(AttachmentRecord& record, PodSide& pod, const AttachSpec& spec);
    Result<std::optional<Link>> find_host_side(const Link& inside, PodSide& pod);
    Result<void> check_unowned(const AttachmentRecord& record);
    Result<bool> alive_inside(const AttachmentRecord& record);
    Result<bool> limited_by_stock(const AttachmentRecord& record, const AttachSpec& spec);
    Result<void> take_over_from_stock(Attached& attached, const AttachSpec& spec, PodSide* pod);
    Result<void> replace_stock_root(Attached& attached, PodSide* pod);
    Result<void> start_all(Attached& attached, const AttachSpec& spec, PodSide* pod);
    Result<void> start(Attached& attached, Direction direction, const Rate& rate, PodSide* pod);
    // As start_with(), again for as long as that fails for a passing cause, but only a few times.
    Result<void> start_patiently(Attached& attached, Direction direction, const Rate& rate, Shaper shaper, PodSide* pod,
                                 bool behind_others);
    // behind_others: be content with a hook on which a foreign classifier runs first.
    Result<void> start_with(Attached& attached, Direction direction, const Rate& rate, Shaper shaper, PodSide* pod,
                            bool behind_others);
    Result<void> stop(Attached& attached, Direction direction, PodSide* pod);
    void pass_all(const Attached& attached, Direction direction);
    Result<void> let_out(const Attached& attached, Direction direction, PodSide* pod);
    // Puts back the rates that `attached` had, as far as they are not in force.
    void restore(Attached& attached, const Rates& before, PodSide* pod);
    Result<void> retune(Attached& attached, Direction direction, const Rate& rate, PodSide* pod);
    bool needs_more_room(const AttachmentRecord& record, Direction direction, const Rate& rate) const;
    Result<void> make_room(const Attached& attached, Direction direction, const Rate& rate, PodSide* pod);
    bool needs_pod_side(const Attached& attached, Direction direction, const std::optional<Rate>& rate) const;
    static bool in_force(const Attached& attached, Direction direction, const Rate& rate);
    Result<void> set_direction(Attached& attached, Direction direction, const std::optional<Rate>& rate, PodSide* pod);
    struct Defects {
        bool qdisc = false;
        bool class_filter = false;  // of HTB
        HookState hook = HookState::first;
        std::vector<std::string> what;
    };
    Result<Defects> inspect(const Attached& attached, Direction direction, PodSide* pod);
    Result<void> put_back(Attached& attached, Direction direction, const Defects& defects, PodSide* pod);
    Result<void> start_again(Attached& attached, Direction direction, PodSide* pod);
    Result<void> try_better(Attached& attached, Direction direction, PodSide* pod, Mended& out);
    Result<void> mend_direction(Attached& attached, Direction direction, Remedy remedy, PodSide* pod, Mended& out);
    Result<void> police_outside(Attached& attached, const std::string& why, PodSide* pod);
    Result<void> police_with_same(Attached& attached, const std::string& why, PodSide& pod);
    Result<void> police_unreachable(Attached& attached, const std::string& why);
    Result<void> start_policing(Attached& attached, const Rate& rate, const std::string& why);
    Result<void> move_inside(Attached& attached, const std::string& why, PodSide& pod);
    void learn_nsid(Attached& attached, const PodSide& pod);
    Result<void> adopt_direction(Attached& attached, Direction direction, PodSide* pod);
    Result<void> mend_adopted(Attached& attached, Direction direction, PodSide* pod);
    Result<void> renew_program(Attached& attached, Direction direction, PodSide* pod);
    static Result<std::uint64_t> queued_bytes(const HookPoint& where, Shaper shaper);
    // Leaves the program cautious: refresh() ends that.
    Result<void> switch_direction(Attached& attached, Direction direction, const Insist& insist, PodSide* pod);
    Result<void> switch_back(Attached& attached, Direction direction, const ShapingRecord& before, PodSide* pod);
    HookKind next_hook(const Attached& attached, Direction direction, const Wish& wish, PodSide* pod);
    Result<std::string> choose_hook(Attached& attached, Direction direction, const Insist& insist, PodSide* pod);
    Result<void> switch_hook(Attached& attached, Direction direction, AttachMode mode, PodSide* pod);
    Result<void> switch_shaper(Attached& attached, Direction direction, Shaper target, PodSide* pod);
    void settle(Attached& attached, Direction direction, std::uint64_t lost_bytes, PodSide* pod);
    Result<void> exchange_qdisc(Attached& attached, Direction direction, Shaper target, const natra_config& before,
                                const natra_config& after, PodSide* pod);
    Result<void> move_program(Attached& attached, Direction direction, Shaper target, const natra_config& after,
                              PodSide* pod);
    static bool shares_clsact(const AttachmentRecord& record, Direction direction, bool pod_side);
    static void inherit_clsact(AttachmentRecord& record, Direction direction);
    Result<void> begin_switch(const Attached& attached, Direction direction, bool pod_side, PodSide* pod);
    // Also notes which devices have no clsact qdisc yet. False if there was a mark.
    Result<bool> mark_switch(const Attached& attached, Direction direction, PodSide* pod);
    // Nothing has come of it.
    void unmark_switch(const std::string& id, Direction direction);
    void note_absent_clsact(const AttachmentRecord& record, int prog_fd, PodSide* pod);
    // Removes clsact qdiscs without filters that natrad made for this direction, or since mark_switch().
    void remove_empty_clsact(const AttachmentRecord& record, Direction direction, PodSide* pod);
    static bool is_marked(const std::string& path);
    std::string clsact_mark(const std::string& id, bool pod_side) const;
    bool switch_interrupted(const std::string& id, Direction direction) const;
    void sweep(const AttachmentRecord& record, Direction direction, PodSide* pod);
    std::string switch_mark(const std::string& id, Direction direction) const;
    void remove_direction_pins(const std::string& id, Direction direction);
    void remove_program_pins(const std::string& id, Direction direction);
    void remove_next_pins(const std::string& id, Direction direction);
    Result<void> verify(const Attached& attached, Direction direction, PodSide* pod);
    natra_config config_for(const AttachmentRecord& record, const Rate& rate, Shaper shaper, Direction direction) const;
    HookPoint point(const AttachmentRecord& record, Direction direction, bool pod_side, bool device_egress,
                    PodSide* pod);
    static Result<std::optional<Qdisc>> root_of(const HookPoint& where);
    std::string pins(const std::string& id) const;
    static std::uint32_t program_of(const Attached& attached, Direction direction);  // 0: none

    EngineSettings settings_;
    std::string bpffs_;  // that the pins are on
    Netlink host_;
    Features features_;
    NetnsWorker worker_;
    std::map<DeviceKey, Owner> owners_;  // devices with an attachment
    InstancePool pool_;
};

}  // namespace natra::datapath
