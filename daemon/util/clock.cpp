// SPDX-License-Identifier: Apache-2.0
#include "daemon/util/clock.hpp"

#include <ctime>

namespace natra {

std::uint64_t monotonic_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

std::uint64_t monotonic_us() { return monotonic_ns() / 1000; }

}  // namespace natra
