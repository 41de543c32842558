// SPDX-License-Identifier: Apache-2.0
// The configuration in a program's state, which one thread puts in force while others read it. The program reads it as
// well and can take no lock.
#pragma once

#include <cstdint>
#include <optional>

#include "bpf/natra_abi.h"

namespace natra::datapath {

// A word that is written meanwhile. What is read after it is not older.
inline std::uint32_t read_live(const __u32& word) {
    // std::atomic_ref takes no const before C++26.
    return __atomic_load_n(&word, __ATOMIC_ACQUIRE);
}

// For one thread at a time: writes to the place that is not in use, which then is. active_config counts the
// configurations; its lowest bit is the place.
void put_in_force(natra_state& state, const natra_config& config);

// The configuration in force, whole, and active_config as it was then. Any thread.
struct LiveConfig {
    natra_config config{};
    std::uint32_t count = 0;
};
LiveConfig live_config(const natra_state& state);

// What use(configuration) returns; nothing if another one came into force meanwhile, which gives the cells of the
// sketch another meaning. use() reads the state with read_live(). Any thread.
template <class Use> auto with_live_config(const natra_state& state, Use use)
    -> std::optional<decltype(use(natra_config{}))> {
    const auto live = live_config(state);
    auto out = use(live.config);
    if (read_live(state.active_config) != live.count) return std::nullopt;
    return out;
}

}  // namespace natra::datapath
