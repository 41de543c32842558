// SPDX-License-Identifier: Apache-2.0
// Registry: traffic that gets past its limiter. Once a second natrad reads what the devices carried, those of the
// host twice and those of the pods between, and compares that with the limits and with each other.
#include <algorithm>

#include "daemon/pods/announce.hpp"
#include "daemon/pods/registry_worker.hpp"
#include "daemon/util/log.hpp"

namespace natra::pods {
namespace {

// Devices read in one turn of the worker: some milliseconds.
constexpr std::size_t devices_a_turn = 64;

std::int64_t difference(std::uint64_t received, std::uint64_t sent) {
    return static_cast<std::int64_t>(received) - static_cast<std::int64_t>(sent);
}

const datapath::LinkBytes* find_device(const datapath::Traffic& traffic, int ifindex) {
    const auto found = traffic.devices.find(ifindex);
    return found == traffic.devices.end() ? nullptr : &found->second;
}

}  // namespace

// Nothing if the attachment had another device when that was read.
const datapath::LinkBytes* Registry::find_inside(const Carried& carried, const Pod& pod) {
    const auto found = carried.pods.find(pod.id);
    if (found == carried.pods.end()) return nullptr;
    const auto same = [&pod](const datapath::PodDevice& device) {
        return device.id == pod.id && device.nsid == pod.kernel.nsid && device.ifindex == pod.kernel.record.pod_ifindex;
    };
    // Both are in the order of ids.
    const auto first = std::lower_bound(carried.devices.begin(), carried.devices.end(), pod.id,
                                        [](const auto& device, const auto& id) { return device.id < id; });
    return first != carried.devices.end() && same(*first) ? &found->second : nullptr;
}

void Registry::measure() {
    if (comparing_) return;
    comparing_ = true;
    auto carried = std::make_shared<Carried>();
    for (const auto& [id, pod] : pods_)
        if (pod.kernel.nsid != datapath::host_nsid)
            carried->devices.push_back({.id = id, .nsid = pod.kernel.nsid, .ifindex = pod.kernel.record.pod_ifindex});
    on_worker([this] { return engine_.traffic(); },
              [this, carried](Result<datapath::Traffic> traffic) {
                  if (traffic) {
                      carried->before = *std::move(traffic);
                      return measure_pods(carried);
                  }
                  comparing_ = false;
                  log::debug(concat("audit: ", traffic.error().what));
              });
}

// In several turns, for others wait for the worker, too.
void Registry::measure_pods(const std::shared_ptr<Carried>& carried) {
    const auto& devices = carried->devices;
    if (carried->next < devices.size()) {
        const auto first = devices.begin() + static_cast<std::ptrdiff_t>(carried->next);
        const auto count = std::min(devices_a_turn, devices.size() - carried->next);
        carried->next += count;
        using Pods = std::map<std::string, datapath::LinkBytes>;
        auto some = std::vector<datapath::PodDevice>(first, first + static_cast<std::ptrdiff_t>(count));
        return on_worker([this, some = std::move(some)]() -> Result<Pods> { return engine_.pod_traffic(some); },
                         [this, carried](Result<Pods> pods) {
                             if (pods) carried->pods.merge(*pods);
                             measure_pods(carried);
                         });
    }
    on_worker([this] { return engine_.traffic(); },
              [this, carried](Result<datapath::Traffic> traffic) {
                  comparing_ = false;
                  if (!traffic) return log::debug(concat("audit: ", traffic.error().what));
                  carried->after = *std::move(traffic);
                  compare(*carried);
              });
}

void Registry::compare(const Carried& carried) {
    std::vector<std::string> from_pods;
    std::vector<std::pair<std::string, PastHost>> to_pods;
    for (const auto& [id, pod] : pods_) {
        const auto found = watches_.find(id);
        if (found == watches_.end()) continue;
        auto& watch = found->second;
        if (leaving_.contains(id)) {
            // What it lets out is more than its rate.
            watch.ingress = {};
            watch.egress = {};
            continue;
        }
        if (past_the_pod(pod, watch, carried)) from_pods.push_back(id);
        if (auto past = past_the_host(pod, watch, carried); !past.why.empty()) {
            past.tamper_events = pod.tamper_events;
            to_pods.emplace_back(id, std::move(past));
        }
    }
    for (const auto& id : from_pods) bypassed(id);
    for (const auto& [id, past] : to_pods) {
        if (pods_.at(id).kernel.record.ingress)
            police_inside(id, past);
        else
            past_another(id);
    }
}

bool Registry::past_the_pod(const Pod& pod, Watch& watch, const Carried& carried) {
    const auto& record = pod.kernel.record;
    const auto* const inside = find_inside(carried, pod);
    const auto* const before = find_device(carried.before, record.host_ifindex);
    const auto* const after = find_device(carried.after, record.host_ifindex);
    const bool unseen = inside != nullptr && before != nullptr && after != nullptr &&
                        watch.past_pod_device.unseen(difference(before->received, inside->sent),
                                                     difference(after->received, inside->sent));
    // What is policed at the host is counted there, whichever way it came.
    if (!record.egress || !record.egress->pod_side) {
        watch.egress = {};
        return false;
    }
    // The device counts what is not limited, too.
    const bool all_is_limited = record.subnets.mode == NATRA_SUBNETS_ANY;
    const auto over = [&](std::uint64_t bytes) {
        return all_is_limited && watch.egress.overrun(record.egress->rate, bytes, carried.after.now_ns);
    };
    if (!record.has_host_side()) return inside != nullptr && over(inside->sent);
    if (before == nullptr || after == nullptr) return false;
    return over(after->received) || unseen;
}

Registry::PastHost Registry::past_the_host(const Pod& pod, Watch& watch, const Carried& carried) {
    const auto& record = pod.kernel.record;
    // What is policed at the pod's own hook has been counted before.
    if (record.ingress && record.ingress->pod_side) {
        watch.ingress = {};
        watch.past_host_device = {};
        return {};
    }
    if (!record.ingress) watch.ingress = {};
    const auto* const before = find_device(carried.before, record.host_ifindex);
    const auto* const after = find_device(carried.after, record.host_ifindex);
    if (before == nullptr || after == nullptr) return {};
    if (const auto* const inside = find_inside(carried, pod)) {
        const auto received = inside->received;
        if (watch.past_host_device.unseen(difference(received, after->sent), difference(received, before->sent)))
            return {.why = concat("packets reach the pod past ", record.host_device, " (bpf_redirect_peer)"),
                    .certain = true};
    }
    if (record.ingress && record.subnets.mode == NATRA_SUBNETS_ANY &&
        watch.ingress.overrun(record.ingress->rate, after->sent, carried.after.now_ns))
        return {.why = concat("more came to the pod through ", record.host_device, " than its limit lets through")};
    return {};
}

// Past a limiter that the direction was left to as well.
void Registry::past_another(const std::string& id) {
    if (left_to(pods_.at(id), datapath::Direction::ingress).empty()) return;
    passages_[id].ingress.distrust();
    survey();
}

void Registry::police_inside(const std::string& id, const PastHost& past) {
    operations_.run(id, [this, id, past](const Operations::Held& turn) {
        const auto* pod = find(id);
        if (pod == nullptr || !pod->kernel.record.ingress || pod->kernel.record.ingress->pod_side) return;
        // A look has found the reason meanwhile, and put it right.
        if (!past.certain && pod->tamper_events != past.tamper_events) return;
        struct Outcome {
            datapath::Attached kernel;
            datapath::Mended mended;
            Result<void> moved;
        };
        auto work = [this, past, kernel = pod->kernel, rates = to_rates(pod->effective)]() mutable -> Result<Outcome> {
            datapath::Mended mended;
            if (!past.certain) {
                auto looked_at = engine_.mend(kernel, rates, datapath::Remedy::put_back);
                if (!looked_at) return looked_at.error();
                mended = *std::move(looked_at);
            }
            auto moved = mended.any() ? Result<void>() : engine_.police_inside(kernel, past.why);
            return Outcome{std::move(kernel), std::move(mended), std::move(moved)};
        };
        on_worker(std::move(work), [this, id, why = past.why, turn](Result<Outcome> outcome) {
            const auto found = pods_.find(id);
            if (found == pods_.end()) return;
            if (outcome && outcome->mended.any())
                looked(id, std::move(outcome->kernel), outcome->mended);
            else if (outcome)
                policed_inside(found->second, why, std::move(outcome->kernel), outcome->moved);
            else
                policed_inside(found->second, why, found->second.kernel, outcome.error());
        });
    });
}

void Registry::policed_inside(Pod& pod, const std::string& why, datapath::Attached kernel, const Result<void>& moved) {
    pod.kernel = std::move(kernel);
    auto& watch = watches_[pod.id];
    if (moved) {
        watch.trouble.clear();
        announce(log::Level::warning, log::events::backstop, pod,
                 concat(why, "; ingress is policed at ", describe_hook(pod.kernel.record, *pod.kernel.record.ingress),
                        " from now on"));
        begin_watch(pod.id, false);
        return count_tampering(pod);
    }
    const auto text = concat(why, ", and ingress cannot be policed inside the pod: ", moved.error().what);
    const bool known = std::exchange(watch.trouble, text) == text;
    tell(pod, text, text);
    if (!known) count_tampering(pod);
}

}  // namespace natra::pods
