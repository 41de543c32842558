// SPDX-License-Identifier: Apache-2.0
#include "api/queue_delay.hpp"

#include <charconv>
#include <string>

#include "daemon/datapath/counters.hpp"

namespace natra::api {
namespace {

double seconds(std::uint64_t ns) { return static_cast<double>(ns) / 1e9; }

// "0.0001": Prometheus before 3.0 tells "1e-04" from it.
std::string le(std::uint64_t bound_ns) {
    char text[32];
    const auto* const end =
        std::to_chars(std::begin(text), std::end(text), seconds(bound_ns), std::chars_format::fixed).ptr;
    return std::string(static_cast<const char*>(text), end);
}

}  // namespace

void write_queue_delay(Exposition& out, const natra_counters& counters, std::string_view common) {
    const auto count = datapath::waits(counters);
    if (count == 0) return;
    std::uint64_t at_most = 0;
    for (std::size_t i = 0; i < datapath::wait_bounds_ns.size(); ++i) {
        at_most += counters.wait_packets[i];
        out.sample_of("_bucket", {{"le", le(datapath::wait_bounds_ns[i])}}, at_most, common);
    }
    out.sample_of("_bucket", {{"le", "+Inf"}}, count, common);
    out.sample_of("_sum", {}, seconds(counters.wait_ns), common);
    out.sample_of("_count", {}, count, common);
}

Json queue_delay_json(const natra_counters& counters) {
    auto buckets = Json::array();
    for (std::size_t i = 0; i < NATRA_WAIT_BUCKETS; ++i) {
        const auto bound = i < datapath::wait_bounds_ns.size() ? Json(seconds(datapath::wait_bounds_ns[i])) : Json();
        buckets.push_back(object({{"atMostSeconds", bound}, {"packets", counters.wait_packets[i]}}));
    }
    return object({{"packets", datapath::waits(counters)},
                   {"sumSeconds", seconds(counters.wait_ns)},
                   {"buckets", std::move(buckets)}});
}

}  // namespace natra::api
