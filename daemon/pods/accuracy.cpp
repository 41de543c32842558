// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/accuracy.hpp"

#include <cstdio>

#include "daemon/pods/announce.hpp"

namespace natra::pods {
namespace {

std::string percent(double share) {
    char text[32];
    std::snprintf(text, sizeof text, "%.0f %%", share * 100);
    return text;
}

ClassificationHistory::Sample sample_of(const datapath::Instance& instance) {
    const auto c = instance.counters();
    const auto all = c.paced_packets + c.dropped_packets;
    return {.accuracy = instance.accuracy(),
            // Counters are read one after the other while packets pass.
            .heavy_packets = all > c.spilled_packets ? all - c.spilled_packets : 0,
            .table_misses = instance.heavy_table_misses()};
}

}  // namespace

void ClassificationHistory::add(const Sample& sample, std::uint64_t now_us) {
    if (sample.accuracy.false_heavy_chance > most_false_heavy)
        false_heavy_ = {concat("more than ", percent(most_false_heavy),
                               " of the flows that begin are taken for heavy ones, whatever they send: more flows at "
                               "once than natra can tell apart"),
                        now_us + told_for_us};
    // Less than before: another program, which counts anew.
    const bool compares = begun_ && sample.heavy_packets >= last_.heavy_packets + fewest_packets &&
                          sample.table_misses >= last_.table_misses;
    const auto share = compares ? static_cast<double>(sample.table_misses - last_.table_misses) /
                                      static_cast<double>(sample.heavy_packets - last_.heavy_packets)
                                : 0.0;
    if (share > most_table_misses)
        misses_ = {concat("more than ", percent(most_table_misses),
                          " of heavy flows' packets are of flows that the table of ", NATRA_HEAVY_SLOTS,
                          " has no place for: the list of heavy flows is incomplete"),
                   now_us + told_for_us};
    last_ = sample;
    begun_ = true;
}

std::string ClassificationHistory::trouble(std::uint64_t now_us) const {
    const auto& first = now_us < false_heavy_.until_us ? false_heavy_.text : std::string();
    const auto& second = now_us < misses_.until_us ? misses_.text : std::string();
    return concat(first, first.empty() || second.empty() ? "" : "; ", second);
}

void AccuracyWatch::look(const std::map<std::string, Pod>& pods, std::uint64_t now_us) {
    std::erase_if(histories_, [&](const auto& each) {
        const auto pod = pods.find(each.first.first);
        return pod == pods.end() || pod->second.kernel.instance(each.first.second) == nullptr;
    });
    problems_.clear();
    for (const auto& [id, pod] : pods)
        for (const auto direction : datapath::directions) {
            const auto& instance = pod.kernel.instance(direction);
            if (instance == nullptr) continue;
            auto& history = histories_[{id, direction}];
            const bool known = !history.trouble(now_us).empty();
            history.add(sample_of(*instance), now_us);
            const auto trouble = history.trouble(now_us);
            if (trouble.empty()) continue;
            const auto text = concat(to_string(direction), ": ", trouble);
            problems_.emplace_back(id, concat(describe(pod), ": ", text));
            if (!known) announce(log::Level::warning, log::events::classification_unreliable, pod, text);
        }
}

std::vector<std::string> AccuracyWatch::problems(const std::map<std::string, Pod>& pods) const {
    std::vector<std::string> out;
    for (const auto& [id, sentence] : problems_)
        if (pods.contains(id)) out.push_back(sentence);
    return out;
}

}  // namespace natra::pods
