// SPDX-License-Identifier: Apache-2.0
// What an operator should learn although the runtime sees success: one line to
// stderr and one entry in the journal. stdout belongs to the protocol.
#pragma once

#include <string_view>

#include "cni-shim/environment.hpp"
#include "daemon/util/log.hpp"

namespace natra::shim {

// Never fails and never waits for the journal: neither is a reason to stop a pod.
void report(log::Level level, const Environment& environment, std::string_view text) noexcept;

}  // namespace natra::shim
