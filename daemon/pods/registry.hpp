// SPDX-License-Identifier: Apache-2.0
// The one owner of truth about attachments: decides, persists, and has the
// kernel worker carry out. Core thread only; the worker never sees it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "daemon/datapath/engine.hpp"
#include "daemon/limits/rules.hpp"
#include "daemon/pods/limits_edit.hpp"
#include "daemon/pods/operations.hpp"
#include "daemon/pods/other_limiters.hpp"
#include "daemon/pods/passage.hpp"
#include "daemon/pods/pod.hpp"
#include "daemon/pods/statistics.hpp"
#include "daemon/pods/tamper.hpp"
#include "daemon/pods/unseen.hpp"
#include "daemon/util/event_loop.hpp"
#include "daemon/util/unique_fd.hpp"
#include "daemon/util/worker.hpp"

namespace natra::pods {

struct RegistrySettings {
    std::string state_dir = "/run/natra/attachments";
    BurstSettings bursts;
    limits::NodeRules rules;
    Pins pins;
    OtherLimitersPolicy other_limiters = OtherLimitersPolicy::report;
};

// Told on the core thread, after the fact.
class Observer {
public:
    virtual ~Observer() = default;
    virtual void pod_added(const Pod& pod) = 0;
    virtual void pod_changed(const Pod& pod) = 0;
    virtual void pod_removed(const std::string& id) = 0;
};

class Registry {
public:
    using Done = std::function<void(Result<void>)>;
    // The attachment's id; "" if the request asks for no limit and the interface could not be attached.
    using AttachDone = std::function<void(Result<std::string>)>;
    using CollectDone = std::function<void(std::vector<std::string>)>;
    using ValidAttachments = std::set<std::pair<std::string, std::string>>;  // (container ID, interface)

    // All must outlive the registry; the worker must be joined before it goes.
    Registry(RegistrySettings settings, EventLoop& core, Worker& worker, datapath::Engine& engine);

    void set_observer(Observer* observer) { observer_ = observer; }

    // Every `done` is called exactly once, on the core thread, possibly before the call returns.
    // Calls for one attachment take effect in the order in which they were made.

    // already_exists if this very interface is attached, under this name or another; an attachment of the
    // same name to another interface is replaced, but not for the sake of a pod that was found running.
    void attach(AttachRequest request, UniqueFd netns, AttachDone done);
    // Unknown attachments are success. Takes what the stock plugin left for this container and network, too.
    void detach(const AttachmentName& name, Done done);
    // The same, and the log gives `why` as the cause.
    void detach_for(const AttachmentName& name, const std::string& why, Done done);
    // Detaches every attachment to `network` that is not in `valid`; done gets the ids of those that are gone.
    void collect_garbage(const std::string& network, const ValidAttachments& valid, CollectDone done);
    // mismatch if the attachment is not known, was asked to have other limits, or is not whole in the kernel.
    void check(AttachRequest request, UniqueFd netns, Done done);
    // `by` says for a human who asks; it is kept with the override and logged.
    // Fields present in `changes` are added to earlier ones. In force and recorded when done is called with success;
    // Code::unavailable, with the old limits in force, if the change cannot be recorded.
    void set_limits(const std::string& id, Override changes, const std::string& by, Done done);
    void reset_limits(const std::string& id, const std::string& by, Done done);
    // The same with what `edit` answers, asked when it is this call's turn; its error is the call's. An edit of
    // nothing takes its turn, too, and changes nothing, not even who made the last override.
    using Edit = std::function<Result<LimitsEdit>(const Pod&)>;
    void edit_limits(const std::string& id, Edit edit, const std::string& by, Done done);
    // Hook and shaper, switched under traffic. Code::unsupported, with the old ones in force, if the kernel has not
    // what is pinned; Code::unavailable, likewise, if the switch cannot be recorded. Keys at "auto" leave it to the
    // pod's configuration and the node's.
    void set_data_path(const std::string& id, PinsChange change, const std::string& by, Done done);
    void reset_data_path(const std::string& id, const std::string& by, Done done);

    // Another configuration of the node, put in force for every attachment, one after the other, before `done`.
    // The folder of state files stays.
    void reconfigure(RegistrySettings settings, const datapath::HeavyThreshold& heavy, std::function<void()> done);
    [[nodiscard]] const RegistrySettings& settings() const { return settings_; }

    // Takes over what an earlier natrad left, then calls done. Attachments whose devices are gone are dropped. What
    // cannot be taken over, be it that its record cannot be read, stays in the kernel as it is, is listed in troubles()
    // and tried again.
    void adopt(std::function<void()> done);
    // A device of the host's namespace went away.
    void device_deleted(int ifindex);
    // Asks the kernel about every attachment and drops those whose devices are gone.
    void drop_dead();
    // The same for those whose end no device of the host's namespace tells of. From time to time.
    void sweep();

    // Looks who else limits the same pods. From time to time; new attachments see to it themselves.
    void survey();
    // Why natra has left a direction's limit to somebody else; empty if it has not.
    [[nodiscard]] std::string left_to(const Pod& pod, datapath::Direction direction) const;
    // Why a direction has this hook and shaper, or none.
    [[nodiscard]] std::string reason(const Pod& pod, datapath::Direction direction) const;
    // Attachments of which natra has left a direction to somebody else.
    [[nodiscard]] std::size_t left_to_others() const;

    // Somebody changed qdiscs or classifiers: looks at the attachments concerned and mends what is missing.
    void tc_changed(const datapath::TcChanges& changes);
    // Once a second: finds traffic that gets past its limiter, and looks at some attachments without a cause.
    void audit();
    // What was mended in attachments since the node's limits began, those that have ended included.
    [[nodiscard]] std::uint64_t tamper_events() const { return tamper_events_; }
    // A sentence for each attachment that is not as it should be.
    [[nodiscard]] std::vector<std::string> troubles() const;

    [[nodiscard]] const Statistics& statistics() const { return statistics_; }

    // Another one whenever an attachment came, went or was changed: whatever an observer is told of.
    [[nodiscard]] std::uint64_t revision() const { return revision_; }
    [[nodiscard]] const Pod* find(const std::string& id) const;
    [[nodiscard]] const std::map<std::string, Pod>& pods() const { return pods_; }

private:
    void attach_now(const std::string& id, AttachRequest request, UniqueFd netns, AttachDone done);
    // stock_ifb: see stock_ifb_name; may be empty. why: for the log.
    void detach_now(const std::string& id, const std::string& stock_ifb, const std::string& why, const Done& done,
                    const Operations::Held& turn);
    void drop_if_dead(const std::string& id);
    void drop_as_dead(const std::string& id, const datapath::AttachmentRecord& dead);
    // lift_backstop: an operator's word about egress gives the pod's own side another chance.
    void change_now(const std::string& id, const Override& changes, bool lift_backstop, const std::string& by,
                    Done done);
    // Puts the node's configuration in force for one attachment. by: who wants it, for the log.
    static constexpr const char* node_configuration = "the node's configuration";
    void renew(const std::string& id, const std::string& by, std::function<void()> done);
    void renew_later(const std::string& id, const std::string& by);
    void renew_now(const std::string& id, const std::string& by, std::function<void()> done);
    void pin_now(const std::string& id, const Pins& pins, const std::string& by, Done done);
    [[nodiscard]] datapath::Wish wish_for(const Pod& pod) const;
    void notify(const std::function<void(Observer&)>& tell_it);
    void tell_added(const Pod& pod);
    void tell_changed(const Pod& pod);
    void tell_removed(const std::string& id);
    [[nodiscard]] static bool provisional(const Pod& pod);  // the next looks may find something better
    void add(Pod pod);
    void drop(const std::string& id);

    // registry_adoption.cpp
    Result<Pod> read_record(const std::string& id) const;
    void take_over(Pod pod, Result<datapath::Attached> kernel);
    void put_in_force_as_configured(const Pod& pod);
    void note_unadopted(const std::string& id, const std::string& why);
    void adopt_later();
    void adopt_again(const std::string& id, const Operations::Held& turn);
    [[nodiscard]] std::vector<std::string> not_adopted() const;  // a sentence each

    // registry_records.cpp
    Result<void> save(const Pod& pod) const;
    // Records a living attachment. On failure the attachment is listed in troubles() and record_again() tries again.
    Result<void> keep(const Pod& pod);
    void record_again();
    [[nodiscard]] std::vector<std::string> not_recorded() const;  // a sentence each
    [[nodiscard]] std::string state_path(const std::string& id) const;
    // Undo a change that could not be recorded, then answer with the reason. before: the pod as it was.
    void take_back_limits(const Pod& before, const Error& why, Done done);
    void take_back_data_path(const Pod& before, const Error& why, Done done);

    // The data path after a change, and whether the change is in force.
    using Change = std::pair<datapath::Attached, Result<void>>;
    using Changed = std::function<void(const Change&)>;
    void taken_back(const Pod& before, const Change& back, const Error& why, const Done& done);  // registry_records.cpp

    // registry_drain.cpp: what waits in a qdisc that goes leaves before, while the worker serves others.
    void change_rates(const std::string& id, const datapath::Attached& kernel, const datapath::Rates& rates,
                      Changed then);
    void switch_data_path(const std::string& id, const datapath::Attached& kernel, const datapath::Wish& wish,
                          const datapath::Engine::Insist& insist, Changed then);
    struct Leaving {
        std::uint64_t until_us = 0;  // CLOCK_MONOTONIC; what is left by then is lost
        std::uint64_t pause_us = 0;  // before the next look
    };
    struct Steps {
        datapath::Attached kernel;
        std::function<datapath::Drain()> prepare;
        std::function<Change()> carry_out;
        std::uint64_t longest_us = 0;  // between the two
    };
    void drain_first(const std::string& id, Steps steps, Changed then);
    void left(const std::string& id);
    void look_whether_drained(const std::string& id, const datapath::Attached& kernel, const datapath::Drain& drain,
                              std::function<void()> go_on);

    // registry_watch.cpp
    struct Watch {
        bool due = false;                 // a look is queued or its timer runs
        std::uint64_t not_before_us = 0;  // CLOCK_MONOTONIC, the next look
        TamperHistory pod_side;
        TamperHistory host_side;
        std::map<std::string, std::uint64_t> told_us;  // cause -> when it was logged
        std::string trouble;                           // for troubles()
        std::string unmended;                          // what the last look found, if it could not put it right
        std::string failing;                           // and why, for troubles()
        bool retry_due = false;                        // its timer runs
        std::uint64_t retry_us = pods::retry_us;       // from the next failure to the look after it
        OverrunMeter ingress;
        OverrunMeter egress;
        UnseenMeter past_host_device;  // to the pod
        UnseenMeter past_pod_device;   // from it
    };
    void note_places(const Pod& pod);
    void forget_places(const Pod& pod);
    void begin_watch(const std::string& id, bool afresh);
    void look(const std::string& id);
    void look_again(const std::string& id);
    void look_now(const std::string& id, const Operations::Held& turn);
    void looked(const std::string& id, datapath::Attached kernel, const datapath::Mended& mended);
    void count_tampering(Pod& pod);
    void tell(const Pod& pod, const std::string& cause, const std::string& text);
    void look_at_all();
    void bypassed(const std::string& id);
    static void enough(const Pod& pod, Watch& watch, std::uint64_t now_us);

    // registry_audit.cpp: what devices carried, compared with the limits and with each other.
    struct Carried {
        datapath::Traffic before;  // of the host's devices, ahead of the pods'
        datapath::Traffic after;
        std::map<std::string, datapath::LinkBytes> pods;  // by attachment
        std::vector<datapath::PodDevice> devices;         // of those
        std::size_t next = 0;                             // device
    };
    static const datapath::LinkBytes* find_inside(const Carried& carried, const Pod& pod);
    void measure();
    void measure_pods(const std::shared_ptr<Carried>& carried);
    void compare(const Carried& carried);
    // Whether the attachment sends, or is sent, more than can have passed its limiter.
    static bool past_the_pod(const Pod& pod, Watch& watch, const Carried& carried);
    struct PastHost {
        std::string why;                  // empty: nothing came past it
        bool certain = false;             // else the limit there may only have been undone for a while
        std::uint64_t tamper_events = 0;  // of the attachment, by then
    };
    static PastHost past_the_host(const Pod& pod, Watch& watch, const Carried& carried);
    void past_another(const std::string& id);
    void police_inside(const std::string& id, const PastHost& past);
    void policed_inside(Pod& pod, const std::string& why, datapath::Attached kernel, const Result<void>& moved);

    // registry_others.cpp
    void survey_soon();
    void surveyed(const Pod& pod);
    void prove(const Pod& pod, OthersOnPod& others);               // sets their `passed`
    [[nodiscard]] std::vector<std::string> limited_twice() const;  // a sentence for each who does
    // What is to be in force, after the node's rules, overrides and the burst policy; in_force(): after what is left to
    // others, too.
    [[nodiscard]] limits::Limits granted_to(const AttachRequest& request) const;  // without overrides
    [[nodiscard]] limits::Limits wanted(const AttachRequest& request, const Override& changes) const;
    [[nodiscard]] limits::Limits in_force(const std::string& id, const AttachRequest& request,
                                          const Override& changes) const;

    // Runs `work` on the worker, after `delay`, then `then` with its result on the core thread.
    template <class Work, class Then> void on_worker(Work work, Then then, Worker::Duration delay = {});

    RegistrySettings settings_;
    EventLoop& core_;
    Worker& worker_;
    datapath::Engine& engine_;
    Observer* observer_ = nullptr;
    std::uint64_t revision_ = 0;
    std::uint64_t generation_ = 0;  // of settings_
    std::map<std::string, Pod> pods_;
    std::multimap<datapath::TcPlace, std::string> at_place_;  // of pods_, by note_places()
    Operations operations_;                                   // on pods_, and on those that are to become some
    std::map<std::string, Leaving> leaving_;                  // of running operations that wait for a qdisc
    std::map<std::string, std::string> unrecorded_;           // id -> why its record could not be written
    std::map<std::string, std::string> unadopted_;            // id -> why it could not be taken over
    std::uint64_t adopt_again_us_ = pods::retry_us;           // until the next attempt
    bool adopt_later_due_ = false;                            // its timer runs
    Statistics statistics_;
    bool sweeping_ = false;
    datapath::OtherLimiters node_others_;  // as last seen
    std::map<std::string, OthersOnPod> others_;
    bool surveying_ = false;
    bool survey_due_ = false;
    std::map<std::string, Watch> watches_;
    std::uint64_t tamper_events_ = 0;
    std::uint64_t all_not_before_us_ = 0;
    bool all_due_ = false;
    std::set<std::string> renewing_later_;  // whose timer runs
    bool comparing_ = false;
    std::size_t patrol_tick_ = 0;
    std::string patrolled_;  // id of the attachment looked at last without a cause
    struct Passages {
        Passage ingress;
        Passage egress;
    };
    std::map<std::string, Passages> passages_;  // through those of others_
    datapath::Traffic passed_by_;               // what devices carried until node_others_ was seen
};

}  // namespace natra::pods
