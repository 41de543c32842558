// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/configuration.hpp"

namespace natra::config {

std::string spool_dir_of(const Configuration& configuration) {
    return configuration.spool_dir.empty() ? configuration.runtime_dir + "/spool" : configuration.spool_dir;
}

datapath::EngineSettings engine_settings(const Configuration& configuration) {
    return {.pin_root = configuration.bpffs_dir,
            .heavy = {.bytes = configuration.limits.heavy_bytes, .ns = configuration.limits.heavy_ns},
            .pool_size = configuration.pool_size};
}

pods::RegistrySettings registry_settings(const Configuration& configuration) {
    return {.state_dir = configuration.runtime_dir + "/attachments",
            .bursts = {.default_burst_ns = configuration.limits.default_burst_ns,
                       .max_burst_ns = configuration.limits.max_burst_ns},
            .rules = configuration.limits.rules,
            .pins = configuration.data_path,
            .other_limiters = configuration.other_limiters};
}

}  // namespace natra::config
