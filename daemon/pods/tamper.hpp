// SPDX-License-Identifier: Apache-2.0
// The rules for what is done to limits behind natrad's back. Pure; times are
// CLOCK_MONOTONIC.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "daemon/datapath/record.hpp"

namespace natra::pods {

// How often something had to be mended of late.
class TamperHistory {
public:
    static constexpr std::uint64_t window_us = 60'000'000;

    void add(std::uint64_t now_us);
    // Within the window before now_us.
    [[nodiscard]] std::size_t recent(std::uint64_t now_us) const;

private:
    static constexpr std::size_t most = 16;
    std::deque<std::uint64_t> times_us_;
};

// A pod that has undone its own side so often within the window is policed from outside.
inline constexpr std::size_t pod_side_patience = 3;
// Against somebody on the host who undoes every repair: from then on one every pause.
inline constexpr std::size_t host_side_patience = 5;
inline constexpr std::uint64_t pause_us = 10'000'000;
// Between two looks that found nothing: what a storm of harmless changes can cost.
inline constexpr std::uint64_t look_interval_us = 50'000;
inline constexpr std::uint64_t look_interval_most_us = 500'000;
// Before what could not be put right is tried again without news of it: at first, then twice as long each time.
inline constexpr std::uint64_t retry_us = 1'000'000;
inline constexpr std::uint64_t retry_most_us = 32'000'000;

// Finds traffic that does not go through its limiter: a bucket that drains at
// 1.1 of the rate and holds all that a working limiter lets ahead at once, that is
// its burst, small flows' allowance and the packets that were waiting (what the
// device reports is never more than what the limiter charges: GSO headers count
// once there). So it never overflows for traffic that was limited, and does
// within a second or two for traffic well above the rate.
class OverrunMeter {
public:
    // bytes: the device's counter. True if too much passed since the meter began; it begins anew then.
    bool overrun(const datapath::Rate& rate, std::uint64_t bytes, std::uint64_t now_ns);

private:
    void begin(const datapath::Rate& rate, std::uint64_t bytes, std::uint64_t now_ns);

    datapath::Rate rate_;
    std::uint64_t bytes_ = 0;
    std::uint64_t now_ns_ = 0;
    std::uint64_t quiet_until_ns_ = 0;  // what waited under another rate leaves at that
    double level_ = 0;                  // bytes
    bool begun_ = false;
};

// The bucket's size in bytes.
double overrun_allowance(const datapath::Rate& rate);

}  // namespace natra::pods
