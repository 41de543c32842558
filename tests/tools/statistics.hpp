// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "tests/tools/socket.hpp"

namespace natra::traffic {

// {"samples", "p50_us", "p90_us", "p99_us", "max_us"}, nearest rank. A percentile that the
// number of samples cannot resolve (p99 of fewer than 100) is null, never an invention.
nlohmann::json summary_of(std::vector<std::chrono::nanoseconds> samples);

// Jain's fairness index, 1/n (one flow has all) to 1; 0 if nothing was sent at all.
double jain_of(const std::vector<std::uint64_t>& shares);

// Bytes per 100 ms since a start. One thread adds, any may read. What comes after the end is not counted.
class Timeline {
public:
    static constexpr std::chrono::milliseconds width{100};
    static constexpr std::size_t first_second = 10;  // buckets

    explicit Timeline(std::chrono::seconds duration);
    void add(Clock::duration since_start, std::uint64_t bytes);

    [[nodiscard]] std::uint64_t first_second_bytes() const { return sum(0, first_second); }
    [[nodiscard]] std::uint64_t later_bytes() const { return sum(first_second, buckets_); }
    [[nodiscard]] nlohmann::json to_json() const;

    // A sum of JSON timelines of equal length.
    static nlohmann::json total(const std::vector<nlohmann::json>& timelines);

private:
    [[nodiscard]] std::uint64_t sum(std::size_t from, std::size_t to) const;

    std::size_t buckets_;
    std::unique_ptr<std::atomic<std::uint64_t>[]> bytes_;
};

}  // namespace natra::traffic
