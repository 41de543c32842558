// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/limits_edit.hpp"

namespace natra::pods {
namespace {

ValueEdit set_if_present(const std::optional<std::uint64_t>& value) { return value ? ValueEdit(value) : ValueEdit(); }

DirectionEdit to_edit(const DirectionOverride& changes) {
    return {.rate_bps = set_if_present(changes.rate_bps), .burst_bits = set_if_present(changes.burst_bits)};
}

void apply(DirectionOverride& to, const DirectionEdit& edit) {
    if (edit.rate_bps) to.rate_bps = *edit.rate_bps;
    if (edit.burst_bits) to.burst_bits = *edit.burst_bits;
    // The burst set for an earlier limit has no meaning once the limit is lifted.
    const bool lifted = edit.rate_bps && *edit.rate_bps == 0U;
    if (lifted && !edit.burst_bits) to.burst_bits.reset();
}

}  // namespace

LimitsEdit to_edit(const Override& changes) {
    return {.ingress = to_edit(changes.ingress), .egress = to_edit(changes.egress)};
}

LimitsEdit clear_edit() {
    const DirectionEdit clear{.rate_bps = ValueEdit(std::in_place), .burst_bits = ValueEdit(std::in_place)};
    return {.ingress = clear, .egress = clear};
}

Override edited(const Override& before, const LimitsEdit& edit) {
    auto out = before;
    apply(out.ingress, edit.ingress);
    apply(out.egress, edit.egress);
    return out;
}

}  // namespace natra::pods
