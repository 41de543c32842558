// SPDX-License-Identifier: Apache-2.0
// Registry: others that limit the same pods.
#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

#include "daemon/pods/announce.hpp"
#include "daemon/pods/registry_worker.hpp"
#include "daemon/pods/shortfall.hpp"
#include "daemon/util/log.hpp"

namespace natra::pods {

void Registry::survey() {
    if (surveying_ || pods_.empty()) return;
    surveying_ = true;
    using Seen = std::pair<datapath::OtherLimiters, datapath::Traffic>;
    on_worker(
        [this]() -> Result<Seen> {
            auto others = engine_.other_limiters();
            if (!others) return others.error();
            // After what came to the others: what they have not seen must not look as if they had.
            auto traffic = engine_.traffic();
            if (!traffic) return traffic.error();
            return Seen(*std::move(others), *std::move(traffic));
        },
        [this](Result<Seen> seen) {
            surveying_ = false;
            if (!seen) return log::debug(concat("other limiters: ", seen.error().what));
            std::tie(node_others_, passed_by_) = *std::move(seen);
            for (const auto& [id, pod] : pods_) surveyed(pod);
        });
}

// The first look at an attachment follows soon after it is made: other agents take their time.
void Registry::survey_soon() {
    if (survey_due_) return;
    survey_due_ = true;
    core_.after(EventLoop::second_usec, "other limiters", [this] {
        survey_due_ = false;
        survey();
    });
}

void Registry::surveyed(const Pod& pod) {
    auto now = others_on(node_others_, pod);
    prove(pod, now);
    auto& known = others_[pod.id];
    const auto granted = granted_to(pod.request);
    for (const auto direction : datapath::directions) {
        const auto& other = now.of(direction);
        const auto& asked = direction == datapath::Direction::ingress ? granted.ingress : granted.egress;
        const auto& before = known.of(direction);
        const bool same = other && before ? other->same_as(*before) : !other && !before;
        if (same || !asked.limited()) continue;
        if (!other)
            announce(log::Level::info, log::events::limited_alone, pod,
                     concat("nobody else limits its ", to_string(direction), " any more"));
        else
            announce(log::Level::warning, log::events::limited_twice, pod,
                     concat(to_string(direction), " is limited by ", other->who, ", too (", other->evidence, ")"));
    }
    known = std::move(now);
    // Not only after news: an earlier attempt may have failed, or crossed an operator's change.
    if (in_force(pod.id, pod.request, pod.changes) != pod.effective && !renewing_later_.contains(pod.id))
        renew(pod.id, "the node's configuration (otherLimiters)", {});
}

// Compared are what came to the other's limiter and what its device carried to the pod or from it.
void Registry::prove(const Pod& pod, OthersOnPod& others) {
    const auto device = passed_by_.devices.find(pod.kernel.record.host_ifindex);
    auto& passages = passages_[pod.id];
    for (const auto direction : datapath::directions) {
        const bool ingress = direction == datapath::Direction::ingress;
        auto& passage = ingress ? passages.ingress : passages.egress;
        auto& other = others.of(direction);
        if (!other || !other->bucket || device == passed_by_.devices.end()) {
            passage.forget();
            continue;
        }
        const auto& bytes = device->second;
        other->passed = passage.look({.limiter = concat(other->evidence, " ", other->bucket->rate_bps),
                                      .through = other->bucket->offered,
                                      .through_bytes = other->bucket->offered_bytes,
                                      .carried = ingress ? bytes.sent_packets : bytes.received_packets,
                                      .carried_bytes = ingress ? bytes.sent : bytes.received});
    }
}

limits::Limits Registry::granted_to(const AttachRequest& request) const {
    return limits::granted(request.limits, settings_.rules, request.pod_namespace);
}

limits::Limits Registry::wanted(const AttachRequest& request, const Override& changes) const {
    return effective_limits(granted_to(request), request, changes, settings_.bursts);
}

limits::Limits Registry::in_force(const std::string& id, const AttachRequest& request, const Override& changes) const {
    const auto effective = wanted(request, changes);
    const auto others = others_.find(id);
    return others == others_.end() ? effective : without_those_of(others->second, effective, settings_.other_limiters);
}

std::string Registry::left_to(const Pod& pod, datapath::Direction direction) const {
    const auto others = others_.find(pod.id);
    if (others == others_.end() || !others->second.of(direction)) return "";
    const bool limited = to_rates(wanted(pod.request, pod.changes)).of(direction).has_value();
    if (!limited || to_rates(pod.effective).of(direction)) return "";
    const auto& other = *others->second.of(direction);
    return concat("left to ", other.who, " (", other.evidence, ")");
}

std::string Registry::reason(const Pod& pod, datapath::Direction direction) const {
    if (const auto& shaping = pod.kernel.record.of(direction)) return shaping->reason.text();
    if (auto left = left_to(pod, direction); !left.empty()) return left;
    const auto& limit = direction == datapath::Direction::ingress ? pod.effective.ingress : pod.effective.egress;
    return limit.limited() ? shortfall(pod, direction) : why_unlimited(limit);
}

std::size_t Registry::left_to_others() const {
    std::size_t out = 0;
    for (const auto& each : pods_) {
        const bool any = std::any_of(std::begin(datapath::directions), std::end(datapath::directions),
                                     [&](auto direction) { return !left_to(each.second, direction).empty(); });
        out += any ? 1 : 0;
    }
    return out;
}

std::vector<std::string> Registry::limited_twice() const {
    struct Case {
        std::size_t pods = 0;
        std::string example;
    };
    std::map<std::string, Case> cases;
    for (const auto& [id, others] : others_) {
        if (!others.ingress && !others.egress) continue;
        const auto* const pod = find(id);
        if (pod == nullptr) continue;
        std::set<std::string> counted;
        for (const auto direction : datapath::directions) {
            const auto& other = others.of(direction);
            if (!other || !pod->kernel.record.of(direction) || !counted.insert(other->who).second) continue;
            auto& each = cases[other->who];
            ++each.pods;
            if (each.example.empty()) each.example = concat(describe(*pod), ", ", other->evidence);
        }
    }
    std::vector<std::string> out;
    out.reserve(cases.size());
    for (const auto& [who, each] : cases)
        out.push_back(concat(who, " limits ", each.pods, " of natra's attachments, too (", each.example, ")"));
    return out;
}

}  // namespace natra::pods
