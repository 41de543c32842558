// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tests/tools/options.hpp"

namespace natra::traffic {

// Serves every kind of traffic until --seconds have passed, SIGTERM, or its standard input ends if
// --until-eof 1. Prints {"ready": true, "port": N} once it listens. The process' exit status.
int serve(Options& options);

}  // namespace natra::traffic
