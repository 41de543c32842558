// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/statistics.hpp"

namespace natra::pods {

void DurationHistogram::add(std::chrono::nanoseconds duration) {
    const auto seconds = std::chrono::duration<double>(duration).count();
    for (std::size_t i = 0; i < bounds_seconds.size(); ++i)
        if (seconds <= bounds_seconds[i]) ++at_most_[i];
    ++count_;
    sum_seconds_ += seconds;
}

void Statistics::attached(std::chrono::nanoseconds duration, const Error* error) {
    attach.add(duration);
    if (error != nullptr) ++attach_failures[error->code];
}

}  // namespace natra::pods
