// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

namespace natra::api {

// Of this process, as Prometheus' client libraries report it.
struct ProcessFigures {
    double cpu_seconds = 0;
    double start_time_seconds = 0;  // since the epoch
    std::uint64_t resident_bytes = 0;
    std::uint64_t virtual_bytes = 0;
    std::uint64_t threads = 0;
    std::uint64_t open_descriptors = 0;
};

ProcessFigures process_figures();

}  // namespace natra::api
