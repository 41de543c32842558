// SPDX-License-Identifier: Apache-2.0
// How long packets of heavy flows wait, as a histogram of Prometheus and as JSON. Pure.
#pragma once

#include <string_view>

#include "api/exposition.hpp"
#include "api/problem.hpp"
#include "bpf/natra_abi.h"

namespace natra::api {

// Of the family that was begun last. Nothing as long as nothing has been paced: most limits are never reached, and
// buckets are most of an attachment's series.
void write_queue_delay(Exposition& out, const natra_counters& counters, std::string_view common);

Json queue_delay_json(const natra_counters& counters);

}  // namespace natra::api
