// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/tools/socket.hpp"

namespace natra::traffic {

// Bytes that all devices but lo received in the network namespace of the constructing thread, as the
// kernel counts them: Ethernet header included, the headers of a GSO packet once. Sampled by a
// thread of its own at the start, after the first second and at the end.
class WireMeter {
public:
    WireMeter(Clock::time_point start, std::chrono::seconds duration);
    WireMeter(const WireMeter&) = delete;
    WireMeter& operator=(const WireMeter&) = delete;
    // Waits for the end of the duration.
    ~WireMeter();

    // {"first_second_bytes", "later_bytes", "later_seconds"}; waits for the end of the duration.
    nlohmann::json result();

    struct Sample {
        Clock::time_point at;  // just before the bytes were read
        std::uint64_t bytes = 0;
    };
    // In the network namespace of the calling thread, now.
    static Sample sample();

private:
    Sample at_start_;
    Sample at_first_second_;
    Sample at_end_;
    std::thread thread_;  // last: it writes the others
};

}  // namespace natra::traffic
