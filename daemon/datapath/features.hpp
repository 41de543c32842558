// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace natra::datapath {

// What the running kernel offers. Found out by trying, once, in a scratch network
// namespace, because modules and configurations differ more than versions do.
struct Features {
    bool tcx = false;
    bool fq = false;
    bool htb = false;
    bool shared_counters = false;  // more possible CPUs than NATRA_COUNTER_SLOTS
    std::string kernel;            // uname release

    // "tcx", "clsact", "edt", "htb", "police": for status.
    [[nodiscard]] std::vector<std::string> names() const;
};

// Uses a thread of its own; the caller's namespace does not change.
Features probe_features();

}  // namespace natra::datapath
