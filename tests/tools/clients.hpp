// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tests/tools/options.hpp"

namespace natra::traffic {

// Each runs one measurement against a server, prints its JSON and returns the process' exit status.
int run_bulk(Options& options);
int run_rr(Options& options);
int run_short(Options& options);
int run_udp(Options& options);
int run_stream(Options& options);
int run_dns(Options& options);
// No server: samples what all devices but lo receive here.
int run_wire(Options& options);

}  // namespace natra::traffic
