// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace natra {

// CLOCK_MONOTONIC, which BPF programs, systemd and the journal have as well: since boot, without the time asleep.
std::uint64_t monotonic_ns();
std::uint64_t monotonic_us();

}  // namespace natra
