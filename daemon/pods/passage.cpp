// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/passage.hpp"

namespace natra::pods {
namespace {

constexpr std::uint64_t enough_packets = 32;
// Some are under way between the two counters.
constexpr double nearly_all = 0.9;

}  // namespace

void Passage::forget() {
    begun_ = false;
    passes_ = false;
}

bool Passage::look(const Counts& now) {
    const bool same = begun_ && now.limiter == base_.limiter;
    if (!same || now.through < base_.through || now.carried < base_.carried) {
        forget();
        base_ = now;
        begun_ = true;
        return false;
    }
    const auto carried = now.carried - base_.carried;
    if (carried >= enough_packets) {
        passes_ = static_cast<double>(now.through - base_.through) >= nearly_all * static_cast<double>(carried);
        base_ = now;
    }
    return passes_ && !distrusted_;
}

}  // namespace natra::pods
