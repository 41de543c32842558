// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/idle_cells.hpp"

#include <atomic>

#include "daemon/datapath/live_config.hpp"

namespace natra::datapath {
namespace {

// A quarter of what 32 bits hold: 137 s of units of 128 ns.
constexpr std::uint32_t idle_units = 1U << 30;

template <class Do> void for_each_cell(natra_state& state, Do action) {
    for (auto& row : state.cell)
        for (auto& cell : row) action(std::atomic_ref(cell));
    for (auto& row : state.fair)
        for (auto& cell : row) action(std::atomic_ref(cell));
}

}  // namespace

void empty_cells(natra_state& state, std::uint32_t unit_shift, std::uint64_t now_ns) {
    const auto past = static_cast<std::uint32_t>(now_ns >> unit_shift) - 1;
    for_each_cell(state, [=](auto cell) { cell.store(past, std::memory_order_relaxed); });
}

void renew_idle_cells(natra_state& state, std::uint64_t now_ns) {
    const auto config = live_config(state).config;
    const auto now = static_cast<std::uint32_t>(now_ns >> config.unit_shift);
    for_each_cell(state, [&, guard = config.guard](auto cell) {
        auto seen = cell.load(std::memory_order_relaxed);
        const bool ahead = seen - now <= guard;
        // A packet that comes in between has set another time.
        if (!ahead && now - seen > idle_units)
            (void)cell.compare_exchange_strong(seen, now - 1, std::memory_order_relaxed);
    });
}

}  // namespace natra::datapath
