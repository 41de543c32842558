// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

namespace natra::traffic {

// What arrived of a numbered stream of packets, and when.
class StreamRecord {
public:
    // Numbers go from 0 to packets - 1; others are not counted.
    explicit StreamRecord(std::uint64_t packets) : seen_(packets) {}

    // Times on the clock that both ends share.
    void add(std::uint64_t number, std::chrono::nanoseconds sent, std::chrono::nanoseconds arrived, std::size_t bytes);

    // The last number has come: whatever is missing is lost, unless it was overtaken.
    [[nodiscard]] bool at_end() const { return !seen_.empty() && seen_.back(); }
    [[nodiscard]] bool complete() const { return delays_.size() == seen_.size(); }

    // {received_packets, received_bytes, reordered_packets (behind a later number), duplicate_packets, samples,
    // p50_us, p90_us, p99_us, max_us}: one-way delays of what arrived, see summary_of().
    [[nodiscard]] nlohmann::json to_json() const;

private:
    std::vector<bool> seen_;
    std::vector<std::chrono::nanoseconds> delays_;
    std::uint64_t next_ = 0;  // behind the highest number so far
    std::uint64_t bytes_ = 0;
    std::uint64_t reordered_ = 0;
    std::uint64_t duplicates_ = 0;
};

}  // namespace natra::traffic
