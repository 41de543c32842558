// SPDX-License-Identifier: Apache-2.0
// Registry: what others do to the limits. Changes that the kernel announces lead
// to a look at the attachment; traffic that cannot have been limited, to the backstop.

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "daemon/pods/announce.hpp"
#include "daemon/pods/registry_worker.hpp"
#include "daemon/pods/state_file.hpp"
#include "daemon/pods/stock_plugin.hpp"
#include "daemon/util/clock.hpp"
#include "daemon/util/log.hpp"

namespace natra::pods {
namespace {

using Code = Error::Code;
using datapath::Direction;

constexpr std::uint64_t second_us = 1'000'000;
constexpr std::uint64_t told_again_us = 60 * second_us;
// Every attachment is looked at this often, for what nobody announces (tcx) or what got lost.
constexpr std::size_t patrol_seconds = 60;

std::string join(const std::vector<std::string>& parts) {
    std::string out;
    for (const auto& part : parts) out += concat(out.empty() ? "" : ", ", part);
    return out;
}

// Where an attachment may have something, as long as it lasts.
std::vector<datapath::TcPlace> places_of(const datapath::Attached& kernel) {
    std::vector<datapath::TcPlace> out;
    const auto& record = kernel.record;
    if (record.has_host_side()) out.push_back({.nsid = datapath::host_nsid, .ifindex = record.host_ifindex});
    if (kernel.nsid != datapath::host_nsid) out.push_back({.nsid = kernel.nsid, .ifindex = record.pod_ifindex});
    return out;
}

// Of a place where the attachment has something.
bool concerns(const datapath::Attached& kernel, const std::set<datapath::TcPlace>& places) {
    const auto& record = kernel.record;
    return std::any_of(std::begin(datapath::directions), std::end(datapath::directions), [&](auto direction) {
        const auto& shaping = record.of(direction);
        if (!shaping || (shaping->pod_side && kernel.nsid == datapath::host_nsid)) return false;
        const datapath::TcPlace place{.nsid = shaping->pod_side ? kernel.nsid : datapath::host_nsid,
                                      .ifindex = shaping->pod_side ? record.pod_ifindex : record.host_ifindex};
        return places.contains(place);
    });
}

}  // namespace

void Registry::begin_watch(const std::string& id, bool afresh) {
    auto& watch = watches_[id];
    if (afresh) {
        const bool due = watch.due;
        const bool retry_due = watch.retry_due;
        // Devices count on: what has been noticed is no news.
        const auto past_host_device = watch.past_host_device;
        const auto past_pod_device = watch.past_pod_device;
        watch = {};
        watch.due = due;
        watch.retry_due = retry_due;
        watch.past_host_device = past_host_device;
        watch.past_pod_device = past_pod_device;
    }
    // What passed while there was no limit is no overrun of the next one.
    if (const auto* pod = find(id)) {
        if (!pod->kernel.record.ingress) watch.ingress = {};
        if (!pod->kernel.record.egress) watch.egress = {};
    }
    // Our own changes are announced too; the look that they lead to is in no hurry.
    watch.not_before_us = monotonic_us() + look_interval_us;
}

void Registry::note_places(const Pod& pod) {
    for (const auto& place : places_of(pod.kernel)) at_place_.emplace(place, pod.id);
}

void Registry::forget_places(const Pod& pod) {
    for (const auto& place : places_of(pod.kernel)) {
        const auto [first, end] = at_place_.equal_range(place);
        const auto found = std::find_if(first, end, [&](const auto& each) { return each.second == pod.id; });
        if (found != end) at_place_.erase(found);
    }
}

// Every ADD on the node comes here again and again, so no walk over all attachments.
void Registry::tc_changed(const datapath::TcChanges& changes) {
    if (changes.lost) look_at_all();
    if (changes.places.empty()) return;
    std::set<std::string> ids;
    for (const auto& place : changes.places) {
        const auto [first, end] = at_place_.equal_range(place);
        for (auto it = first; it != end; ++it)
            if (concerns(pods_.at(it->second).kernel, changes.places)) ids.insert(it->second);
    }
    for (const auto& id : ids) look(id);
}

// At most once a second: a pod that overruns the monitor must not make the worker look at all others all the time.
void Registry::look_at_all() {
    if (all_due_) return;
    const auto now = monotonic_us();
    if (now < all_not_before_us_) {
        all_due_ = true;
        core_.after(all_not_before_us_ - now, "look at all", [this] {
            all_due_ = false;
            look_at_all();
        });
        return;
    }
    all_not_before_us_ = now + second_us;
    std::vector<std::string> ids;
    for (const auto& [id, pod] : pods_) ids.push_back(id);
    for (const auto& id : ids) look(id);
}

void Registry::look(const std::string& id) {
    const auto found = watches_.find(id);
    if (found == watches_.end() || found->second.due) return;
    auto& watch = found->second;
    watch.due = true;
    const auto begin = [this, id] {
        operations_.run(id, [this, id](const Operations::Held& turn) { look_now(id, turn); });
    };
    const auto now = monotonic_us();
    if (now >= watch.not_before_us) return begin();
    core_.after(watch.not_before_us - now, "look at attachment", begin);
}

// What stood in the way may go without any news. Less and less often: it may never.
void Registry::look_again(const std::string& id) {
    auto& watch = watches_[id];
    if (watch.retry_due) return;
    watch.retry_due = true;
    core_.after(watch.retry_us, "look at attachment again", [this, id] {
        const auto found = watches_.find(id);
        if (found == watches_.end()) return;
        found->second.retry_due = false;
        look(id);
    });
    watch.retry_us = std::min(2 * watch.retry_us, retry_most_us);
}

bool Registry::provisional(const Pod& pod) {
    return std::any_of(std::begin(datapath::directions), std::end(datapath::directions), [&](Direction direction) {
        const auto& shaping = pod.kernel.record.of(direction);
        return shaping && !shaping->provisional.empty();
    });
}

void Registry::look_now(const std::string& id, const Operations::Held& turn) {
    const auto* pod = find(id);
    const auto found = watches_.find(id);
    if (found != watches_.end()) found->second.due = false;  // what changes from now on wants another look
    if (pod == nullptr || found == watches_.end()) return;
    const bool enough_of_it = found->second.pod_side.recent(monotonic_us()) + 1 >= pod_side_patience;
    const auto remedy = enough_of_it ? datapath::Remedy::backstop : datapath::Remedy::put_back;
    using Outcome = std::pair<datapath::Attached, Result<datapath::Mended>>;
    auto work = [this, kernel = pod->kernel, rates = to_rates(pod->effective), remedy]() mutable -> Result<Outcome> {
        auto result = engine_.mend(kernel, rates, remedy);
        return Outcome(std::move(kernel), std::move(result));
    };
    on_worker(std::move(work), [this, id, turn](Result<Outcome> outcome) {
        const auto mended = outcome ? std::move(outcome->second) : Result<datapath::Mended>(outcome.error());
        const auto* now = find(id);
        if (now == nullptr) return;
        if (!mended && mended.error().code == Code::no_device) {
            return detach_now(
                id, stock_ifb_name(now->request.network, now->request.container_id), mended.error().what,
                [](const Result<void>&) {}, turn);
        }
        if (mended) {
            looked(id, std::move(outcome->first), *mended);
        } else {
            watches_[id].not_before_us = monotonic_us() + second_us;
            watches_[id].failing = concat("cannot be looked at: ", mended.error().what);
            look_again(id);
            tell(*now, mended.error().what, concat("cannot be looked at: ", mended.error().what));
        }
    });
}

void Registry::looked(const std::string& id, datapath::Attached kernel, const datapath::Mended& mended) {
    auto& pod = pods_.at(id);
    auto& watch = watches_[id];
    const auto now = monotonic_us();
    if (kernel.nsid != pod.kernel.nsid) {
        forget_places(pod);
        pod.kernel.nsid = kernel.nsid;
        note_places(pod);
    }
    if (!mended.any()) {
        // A pod can make looking slow (thousands of devices): a twentieth of the time is enough.
        watch.not_before_us = now + std::clamp(mended.took_ns / 1000 * 20, look_interval_us, look_interval_most_us);
        if (watch.host_side.recent(now) == 0 && watch.pod_side.recent(now) == 0) watch.trouble.clear();
        watch.unmended.clear();
        watch.failing.clear();
        watch.retry_us = retry_us;
        return;
    }
    const bool had_backstop = pod.kernel.record.egress && pod.kernel.record.egress->backstop;
    const auto before = to_json(pod);
    pod.kernel = std::move(kernel);
    const auto& egress = pod.kernel.record.egress;
    const auto what = join(mended.found);
    // Else it is what was told and counted when it could not be put right.
    const bool news = what != watch.unmended && (mended.pod_side || mended.host_side);
    if (news && mended.pod_side) watch.pod_side.add(now);
    if (news && mended.host_side) watch.host_side.add(now);
    // What got through meanwhile is no news.
    watch.ingress = {};
    watch.egress = {};
    watch.not_before_us = 0;
    watch.unmended = mended.failed.empty() ? "" : what;
    watch.failing = mended.failed.empty() ? "" : concat("not limited as asked: ", join(mended.failed));
    if (egress && egress->backstop && !had_backstop)
        announce(log::Level::warning, log::events::backstop, pod,
                 concat(what, "; egress is policed at ", describe_hook(pod.kernel.record, *egress),
                        " from now on, until its limits are set or reset"));
    else if (mended.failed.empty())
        tell(pod, what, concat(what, "; put right"));
    if (mended.failed.empty()) {
        watch.retry_us = retry_us;
    } else {
        watch.not_before_us = now + second_us;
        tell(pod, watch.failing, concat(what, "; ", watch.failing));
        look_again(id);
    }
    enough(pod, watch, now);
    if (news) return count_tampering(pod);
    if (to_json(pod) == before) return;
    (void)keep(pod);
    tell_changed(pod);
}

// Somebody undoes every repair and there is no backstop against that.
void Registry::enough(const Pod& pod, Watch& watch, std::uint64_t now_us) {
    const bool host = watch.host_side.recent(now_us) >= host_side_patience;
    // Else the backstop has taken over.
    const auto& record = pod.kernel.record;
    const bool no_backstop = !record.has_host_side() || record.past_host_side;
    const bool inside = no_backstop && watch.pod_side.recent(now_us) >= pod_side_patience;
    if (!host && !inside) return;
    // Inside a pod nothing but the pod is disturbed by a quick repair.
    watch.not_before_us = now_us + (host ? pause_us : second_us);
    const auto text = concat("somebody ", host ? "on the host" : "inside the pod",
                             " undoes its limits again and again; they are put back only every ",
                             host ? pause_us / second_us : 1, " s from now on");
    if (watch.trouble != text) announce(log::Level::error, log::events::undone_again, pod, text);
    watch.trouble = text;
}

void Registry::count_tampering(Pod& pod) {
    ++pod.tamper_events;
    ++tamper_events_;
    (void)keep(pod);
    tell_changed(pod);
}

void Registry::tell(const Pod& pod, const std::string& cause, const std::string& text) {
    constexpr std::size_t most_causes = 64;
    auto& told = watches_[pod.id].told_us;
    const auto now = monotonic_us();
    const auto [it, first] = told.try_emplace(cause, now);
    if (!first && now < it->second + told_again_us) return;
    it->second = now;
    announce(log::Level::warning, log::events::tampering, pod, text);
    if (told.size() > most_causes) std::erase_if(told, [&](const auto& each) { return each.first != cause; });
}

void Registry::audit() {
    record_again();
    if (pods_.empty()) return;
    const auto looks = (pods_.size() + patrol_seconds - 1) / patrol_seconds;
    std::vector<std::string> ids;
    auto next = pods_.upper_bound(patrolled_);
    for (std::size_t i = 0; i < looks; ++i) {
        if (next == pods_.end()) next = pods_.begin();
        ids.push_back(next->first);
        ++next;
    }
    // With few attachments not every second.
    ++patrol_tick_;
    if (pods_.size() >= patrol_seconds || patrol_tick_ % (patrol_seconds / pods_.size()) == 0) {
        patrolled_ = ids.back();
        for (const auto& id : ids) look(id);
    }
    measure();
    // What is left to others is in their hands only as long as all packets pass them.
    if (settings_.other_limiters == OtherLimitersPolicy::stand_down) survey();
}

void Registry::bypassed(const std::string& id) {
    operations_.run(id, [this, id](const Operations::Held& turn) {
        const auto* pod = find(id);
        if (pod == nullptr || !pod->kernel.record.egress || !pod->kernel.record.egress->pod_side) return;
        using Outcome = std::pair<datapath::Attached, Result<void>>;
        auto work = [this, kernel = pod->kernel]() mutable -> Result<Outcome> {
            auto result = engine_.install_backstop(kernel, "more left the pod than its limit lets through");
            return Outcome(std::move(kernel), std::move(result));
        };
        on_worker(std::move(work), [this, id, turn](Result<Outcome> outcome) {
            const auto found = pods_.find(id);
            if (found == pods_.end()) return;
            auto& now = found->second;
            const auto result = outcome ? outcome->second : Result<void>(outcome.error());
            if (outcome) now.kernel = std::move(outcome->first);
            if (result) {
                announce(log::Level::warning, log::events::backstop, now,
                         concat("more left the pod than its limit lets through; egress is policed at ",
                                describe_hook(now.kernel.record, *now.kernel.record.egress),
                                " from now on, until its limits are set or reset"));
                begin_watch(id, false);
            } else {
                const auto text =
                    concat("sends past its limit, and no backstop could be put up: ", result.error().what);
                const bool known = std::exchange(watches_[id].trouble, text) == text;
                tell(now, text, text);
                if (known) return;  // nothing has changed
            }
            count_tampering(now);
        });
    });
}

std::vector<std::string> Registry::troubles() const {
    auto out = limited_twice();
    for (auto& sentence : not_adopted()) out.push_back(std::move(sentence));
    for (auto& sentence : not_recorded()) out.push_back(std::move(sentence));
    for (const auto& [id, pod] : pods_) {
        const auto name = [&pod = pod] { return describe(pod); };  // most have no trouble
        for (const auto direction : datapath::directions) {
            const auto& shaping = pod.kernel.record.of(direction);
            if (!shaping) continue;
            if (shaping->backstop)
                out.push_back(concat(name(), ": egress is policed outside the pod: ", shaping->reason.text()));
            if (!shaping->provisional.empty())
                out.push_back(concat(name(), ": ", to_string(direction), " is limited by ", to_string(shaping->shaper),
                                     " at ", describe_hook(pod.kernel.record, *shaping),
                                     " for now: ", shaping->provisional));
            if (shaping->hook.behind)
                out.push_back(concat(name(), ": a foreign classifier runs before natra's at ",
                                     describe_hook(pod.kernel.record, *shaping), " and may end the chain"));
        }
        if (const auto& record = pod.kernel.record; record.ingress && record.past_host_side)
            out.push_back(concat(name(), ": ingress is policed inside the pod: ", record.ingress->reason.text()));
        const auto watch = watches_.find(id);
        if (watch != watches_.end() && !watch->second.trouble.empty())
            out.push_back(concat(name(), ": ", watch->second.trouble));
        if (watch != watches_.end() && !watch->second.failing.empty())
            out.push_back(concat(name(), ": ", watch->second.failing));
    }
    return out;
}

}  // namespace natra::pods
