// SPDX-License-Identifier: Apache-2.0
// Whether the classification of flows can be relied on, attachment by attachment. The rules are pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "daemon/datapath/accuracy.hpp"
#include "daemon/pods/pod.hpp"

namespace natra::pods {

// Above these shares it cannot, or its results cannot be seen.
inline constexpr double most_false_heavy = 0.01;  // of flows that begin
// Of heavy flows' packets. Nothing but lists depends on the table, and of 40 flows one in fifteen finds no place there:
// a pod that has many is no trouble of the node's. Above this the list is mostly not there.
inline constexpr double most_table_misses = 0.5;
inline constexpr std::uint64_t fewest_packets = 100;  // of heavy flows, for a share to mean anything

// Of one direction.
class ClassificationHistory {
public:
    struct Sample {
        datapath::Accuracy accuracy;
        std::uint64_t heavy_packets = 0;  // of heavy flows, passed or dropped; both counters since the limit was set
        std::uint64_t table_misses = 0;
    };
    static constexpr std::uint64_t told_for_us = 60'000'000;

    void add(const Sample& sample, std::uint64_t now_us);
    // What is wrong: nothing, or the end of a sentence, the same one while it lasts; for some time after it was wrong
    // last.
    [[nodiscard]] std::string trouble(std::uint64_t now_us) const;

private:
    struct Finding {
        std::string text;
        std::uint64_t until_us = 0;
    };
    Finding false_heavy_;
    Finding misses_;
    Sample last_;
    bool begun_ = false;
};

class AccuracyWatch {
public:
    // From time to time; logs what is new. now_us: CLOCK_MONOTONIC. Some microseconds for each direction.
    void look(const std::map<std::string, Pod>& pods, std::uint64_t now_us);
    // "shop/web-0 eth0: ingress: ..." for each direction of these whose classification was not reliable of late.
    [[nodiscard]] std::vector<std::string> problems(const std::map<std::string, Pod>& pods) const;

private:
    std::map<std::pair<std::string, datapath::Direction>, ClassificationHistory> histories_;
    std::vector<std::pair<std::string, std::string>> problems_;  // attachment, sentence
};

}  // namespace natra::pods
