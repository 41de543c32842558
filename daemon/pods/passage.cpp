// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/passage.hpp"

namespace natra::pods {
namespace {

constexpr std::uint64_t enough_packets = 32;
// Some are under way between the two counters.
constexpr double nearly_all = 0.9;

bool is_nearly(std::uint64_t part, std::uint64_t all) {
    return static_cast<double>(part) >= nearly_all * static_cast<double>(all);
}

}  // namespace

void Passage::forget() {
    begun_ = false;
    passes_ = false;
}

bool Passage::look(const Counts& now) {
    const bool same = begun_ && now.limiter == base_.limiter;
    const bool back = now.through < base_.through || now.through_bytes < base_.through_bytes ||
                      now.carried < base_.carried || now.carried_bytes < base_.carried_bytes;
    if (!same || back) {
        forget();
        base_ = now;
        begun_ = true;
        return false;
    }
    const auto carried = now.carried - base_.carried;
    if (carried >= enough_packets) {
        passes_ = is_nearly(now.through - base_.through, carried) &&
                  is_nearly(now.through_bytes - base_.through_bytes, now.carried_bytes - base_.carried_bytes);
        base_ = now;
    }
    return passes_ && !distrusted_;
}

}  // namespace natra::pods
