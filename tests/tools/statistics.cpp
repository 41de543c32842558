// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/statistics.hpp"

#include <algorithm>
#include <cmath>

namespace natra::traffic {

nlohmann::json summary_of(std::vector<std::chrono::nanoseconds> samples) {
    std::sort(samples.begin(), samples.end());
    const auto microseconds = [](std::chrono::nanoseconds t) { return static_cast<double>(t.count()) / 1000.0; };
    const auto percentile = [&](std::size_t percent) -> nlohmann::json {
        const std::size_t rank = (samples.size() * percent + 99) / 100;
        if (samples.size() * (100 - percent) < 100) return nullptr;
        return microseconds(samples[rank - 1]);
    };
    nlohmann::json out{{"samples", samples.size()}, {"max_us", nullptr}};
    out["p50_us"] = percentile(50);
    out["p90_us"] = percentile(90);
    out["p99_us"] = percentile(99);
    if (!samples.empty()) out["max_us"] = microseconds(samples.back());
    return out;
}

double jain_of(const std::vector<std::uint64_t>& shares) {
    double sum = 0;
    double squares = 0;
    for (const auto share : shares) {
        const auto x = static_cast<double>(share);
        sum += x;
        squares += x * x;
    }
    return squares > 0 ? sum * sum / (static_cast<double>(shares.size()) * squares) : 0;
}

Timeline::Timeline(std::chrono::seconds duration)
    : buckets_(static_cast<std::size_t>(duration / width)),
      bytes_(std::make_unique<std::atomic<std::uint64_t>[]>(buckets_)) {}

void Timeline::add(Clock::duration since_start, std::uint64_t bytes) {
    const auto bucket = static_cast<std::size_t>(std::max<Clock::rep>(0, since_start / width));
    if (bucket < buckets_) bytes_[bucket].fetch_add(bytes, std::memory_order_relaxed);
}

std::uint64_t Timeline::sum(std::size_t from, std::size_t to) const {
    std::uint64_t total = 0;
    for (std::size_t i = from; i < std::min(to, buckets_); ++i) total += bytes_[i].load(std::memory_order_relaxed);
    return total;
}

nlohmann::json Timeline::to_json() const {
    auto out = nlohmann::json::array();
    for (std::size_t i = 0; i < buckets_; ++i) out.push_back(bytes_[i].load(std::memory_order_relaxed));
    return out;
}

nlohmann::json Timeline::total(const std::vector<nlohmann::json>& timelines) {
    std::vector<std::uint64_t> sums;
    for (const auto& timeline : timelines) {
        sums.resize(std::max(sums.size(), timeline.size()));
        for (std::size_t i = 0; i < timeline.size(); ++i) sums[i] += timeline[i].get<std::uint64_t>();
    }
    return sums;
}

}  // namespace natra::traffic
