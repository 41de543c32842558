// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/live_config.hpp"

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>

namespace natra::datapath {
namespace {

using ConfigWords = std::array<std::uint32_t, sizeof(natra_config) / sizeof(std::uint32_t)>;

__u32* words_of(natra_config& config) { return reinterpret_cast<__u32*>(&config); }
const __u32* words_of(const natra_config& config) { return reinterpret_cast<const __u32*>(&config); }

}  // namespace

void put_in_force(natra_state& state, const natra_config& config) {
    const std::atomic_ref active(state.active_config);
    const auto next = active.load(std::memory_order_relaxed) + 1;
    const auto words = std::bit_cast<ConfigWords>(config);
    // Release: a reader that sees one of these words sees that the place was left, too.
    auto* const place = words_of(state.config[next & 1]);
    for (std::size_t i = 0; i < words.size(); ++i) std::atomic_ref(place[i]).store(words[i], std::memory_order_release);
    active.store(next, std::memory_order_release);
}

LiveConfig live_config(const natra_state& state) {
    ConfigWords words{};
    for (;;) {
        const auto count = read_live(state.active_config);
        const auto* const place = words_of(state.config[count & 1]);
        for (std::size_t i = 0; i < words.size(); ++i) words[i] = read_live(place[i]);
        if (read_live(state.active_config) == count)
            return {.config = std::bit_cast<natra_config>(words), .count = count};
    }
}

}  // namespace natra::datapath
