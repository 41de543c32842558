// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/counters.hpp"

#include <numeric>

namespace natra::datapath {

void add(natra_counters& sum, const natra_counters& live) {
    constexpr std::size_t members = sizeof(natra_counters) / sizeof(__u64);
    static_assert(members * sizeof(__u64) == sizeof(natra_counters));
    auto* to = reinterpret_cast<__u64*>(&sum);
    const auto* from = reinterpret_cast<const volatile __u64*>(&live);
    for (std::size_t i = 0; i < members; ++i) to[i] += from[i];
}

std::uint64_t waits(const natra_counters& counters) {
    return std::accumulate(std::begin(counters.wait_packets), std::end(counters.wait_packets), std::uint64_t{0});
}

}  // namespace natra::datapath
