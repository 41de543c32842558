// SPDX-License-Identifier: Apache-2.0
// natrad's files of an attachment: they tell of it while natrad does not answer.
#pragma once

#include <string>

#include "cni-shim/environment.hpp"
#include "daemon/util/error.hpp"

namespace natra::shim {

class NatradState {
public:
    // runtime: natrad's runtimeDir; pins: its bpffsDir.
    NatradState(std::string runtime, std::string pins) : runtime_(std::move(runtime)), pins_(std::move(pins)) {}
    // NATRA_RUNTIME_DIR and NATRA_BPFFS_DIR, else /run/natra and /sys/fs/bpf/natra.
    static NatradState of_environment(const GetVariable& variable);

    // True if natrad has recorded the attachment: it does so when the limits are in force, and they outlive it.
    [[nodiscard]] bool has_record(const Environment& attachment) const;

    // Removes the pins of the attachment's tcx links: the programs leave their hooks, wherever the device is. Success
    // if there are none. A natrad that lives may attach them again before it learns of the DEL.
    [[nodiscard]] Result<void> remove_links(const Environment& attachment) const;

private:
    std::string runtime_;
    std::string pins_;
};

}  // namespace natra::shim
