// SPDX-License-Identifier: Apache-2.0
// Changes to what an operator has overridden. Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "daemon/pods/pod.hpp"

namespace natra::pods {

// Of one value: absent: stays; null: the override ends, the pod's own value is back; else it is overridden.
using ValueEdit = std::optional<std::optional<std::uint64_t>>;

struct DirectionEdit {
    ValueEdit rate_bps;
    ValueEdit burst_bits;
    [[nodiscard]] bool any() const { return rate_bps || burst_bits; }
};

struct LimitsEdit {
    DirectionEdit ingress;
    DirectionEdit egress;
    [[nodiscard]] bool any() const { return ingress.any() || egress.any(); }
};

// Sets what is present in `changes`.
LimitsEdit to_edit(const Override& changes);
// Ends every override of limits.
LimitsEdit clear_edit();

Override edited(const Override& before, const LimitsEdit& edit);

}  // namespace natra::pods
