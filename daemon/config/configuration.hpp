// SPDX-License-Identifier: Apache-2.0
// natrad's configuration as values. Defaults are what a node without files and variables has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "daemon/chain/keeper.hpp"
#include "daemon/datapath/engine.hpp"
#include "daemon/pods/registry.hpp"
#include "daemon/pods/running_pods.hpp"
#include "daemon/util/log.hpp"

namespace natra::config {

struct Configuration {
    pods::Pins data_path;  // attachMode, edtPacing, shaper
    struct {
        std::uint64_t default_burst_ns = 0;  // of limits without a burst, at their rate; 0: the shaper's own
        std::uint64_t max_burst_ns = 1'000'000'000;
        std::uint64_t heavy_bytes = 32768;  // a flow is heavy above the larger of the two
        std::uint64_t heavy_ns = 5'000'000;
        limits::NodeRules rules;  // limits.default, limits.max
    } limits;
    chain::Settings chain;
    pods::AdoptionSettings adoption;
    pods::OtherLimitersPolicy other_limiters = pods::OtherLimitersPolicy::report;
    struct {
        std::string socket;                   // path of a Unix socket of natrad's own; empty: none
        std::string group = "natra";          // may use that socket beside root; empty: nobody
        std::uint64_t max_connections = 128;  // at a time
        std::uint64_t metrics_pods = 1000;    // attachments with metrics of their own
    } api;
    log::Level log_level = log::Level::info;
    std::string runtime_dir = "/run/natra";
    std::string spool_dir;  // empty: "spool" in runtime_dir
    std::string bpffs_dir = "/sys/fs/bpf/natra";
    std::uint64_t pool_size = 128;  // loaded programs in reserve
};

std::string spool_dir_of(const Configuration& configuration);
datapath::EngineSettings engine_settings(const Configuration& configuration);
pods::RegistrySettings registry_settings(const Configuration& configuration);

}  // namespace natra::config
