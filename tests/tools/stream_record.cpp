// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/stream_record.hpp"

#include "tests/tools/statistics.hpp"

namespace natra::traffic {

void StreamRecord::add(std::uint64_t number, std::chrono::nanoseconds sent, std::chrono::nanoseconds arrived,
                       std::size_t bytes) {
    if (number >= seen_.size()) return;
    if (seen_[number]) {
        ++duplicates_;
        return;
    }
    seen_[number] = true;
    delays_.push_back(arrived - sent);
    bytes_ += bytes;
    if (number < next_)
        ++reordered_;
    else
        next_ = number + 1;
}

nlohmann::json StreamRecord::to_json() const {
    nlohmann::json out{{"received_packets", delays_.size()},
                       {"received_bytes", bytes_},
                       {"reordered_packets", reordered_},
                       {"duplicate_packets", duplicates_}};
    out.update(summary_of(delays_));
    return out;
}

}  // namespace natra::traffic
