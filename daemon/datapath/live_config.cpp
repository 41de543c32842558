// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/live_config.hpp"

#include <array>
#include <bit>
#include <cstddef>

namespace natra::datapath {
namespace {

using ConfigWords = std::array<std::uint32_t, sizeof(natra_config) / sizeof(std::uint32_t)>;

__u32& word_of(const natra_config& config, std::size_t index) {
    return reinterpret_cast<__u32*>(const_cast<natra_config*>(&config))[index];
}

}  // namespace

void put_in_force(natra_state& state, const natra_config& config) {
    const std::atomic_ref active(state.active_config);
    const auto next = active.load(std::memory_order_relaxed) + 1;
    const auto words = std::bit_cast<ConfigWords>(config);
    // Release: a reader that sees one of these words sees that the place was left, too.
    for (std::size_t i = 0; i < words.size(); ++i)
        std::atomic_ref(word_of(state.config[next & 1], i)).store(words[i], std::memory_order_release);
    active.store(next, std::memory_order_release);
}

LiveConfig live_config(const natra_state& state) {
    ConfigWords words{};
    for (;;) {
        const auto count = read_live(state.active_config);
        for (std::size_t i = 0; i < words.size(); ++i) words[i] = read_live(word_of(state.config[count & 1], i));
        if (read_live(state.active_config) == count)
            return {.config = std::bit_cast<natra_config>(words), .count = count};
    }
}

}  // namespace natra::datapath
