// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/unseen.hpp"

#include <algorithm>

namespace natra::pods {

bool UnseenMeter::unseen(std::int64_t at_least, std::int64_t at_most) {
    if (at_least > known_ + tolerance) {
        known_ = at_most;
        return true;
    }
    // Counters that begin anew.
    known_ = std::min(known_, std::max<std::int64_t>(at_most, 0));
    return false;
}

}  // namespace natra::pods
