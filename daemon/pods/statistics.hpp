// SPDX-License-Identifier: Apache-2.0
// What a registry has done since natrad began.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>

#include "daemon/util/error.hpp"

namespace natra::pods {

// How often something took at most how long.
class DurationHistogram {
public:
    static constexpr std::array<double, 12> bounds_seconds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                              0.1,   0.25,   0.5,   1,    2.5,   5};

    void add(std::chrono::nanoseconds duration);
    // Of those at most bounds_seconds[i] long, shorter ones included.
    [[nodiscard]] std::uint64_t at_most(std::size_t i) const { return at_most_[i]; }
    [[nodiscard]] std::uint64_t count() const { return count_; }
    [[nodiscard]] double sum_seconds() const { return sum_seconds_; }

private:
    std::array<std::uint64_t, bounds_seconds.size()> at_most_{};
    std::uint64_t count_ = 0;
    double sum_seconds_ = 0;
};

struct Statistics {
    DurationHistogram attach;  // from the call to the answer, those that failed too
    std::map<Error::Code, std::uint64_t> attach_failures;
    std::uint64_t ended = 0;  // attachments that are gone, by whatever cause
    struct {
        std::uint64_t adopted = 0;
        std::uint64_t dropped = 0;  // their devices were gone
        std::uint64_t failed = 0;
    } adoptions;
    std::uint64_t limit_changes = 0;  // by operators

    // error: why it was not attached; may be null.
    void attached(std::chrono::nanoseconds duration, const Error* error);
};

}  // namespace natra::pods
