// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "daemon/datapath/engine.hpp"
#include "daemon/pods/registry.hpp"

namespace natra {

struct Settings {
    datapath::EngineSettings engine;
    pods::RegistrySettings registry;
    std::string runtime_dir = "/run/natra";
    std::string spool_dir = "/run/natra/spool";
};

// From the environment:
//   NATRA_RUNTIME_DIR   state and spool (default /run/natra)
//   NATRA_SPOOL_DIR     the spool alone (default <runtime dir>/spool)
//   NATRA_BPFFS_DIR     pins (default /sys/fs/bpf/natra)
//   NATRA_SHAPER        auto, edt, htb, police (default auto)
//   NATRA_ATTACH_MODE   auto, tcx, clsact (default auto)
//   NATRA_POOL_SIZE     loaded programs in reserve, two a pod, 0 to 4096 (default 128)
// Code::invalid_argument naming the variable and its value.
Result<Settings> settings_from_environment();

}  // namespace natra
