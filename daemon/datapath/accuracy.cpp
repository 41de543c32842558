// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/accuracy.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "daemon/datapath/live_config.hpp"

namespace natra::datapath {
namespace {

constexpr double unlikely = 0.01;

using Row = std::array<std::uint32_t, NATRA_SKETCH_COLS>;
using Rows = std::array<Row, NATRA_SKETCH_ROWS>;

// Cells as sketch_read() sees them: cell units ahead of now, 0 where they are in the past or stale.
Rows read_levels(const natra_state& state, const natra_config& config, std::uint64_t now_ns) {
    const auto now = static_cast<std::uint32_t>(now_ns >> config.unit_shift);
    const auto guard = config.guard;
    Rows rows;
    static_assert(sizeof rows == sizeof state.cell);
    for (std::size_t row = 0; row < rows.size(); ++row)
        for (std::size_t i = 0; i < rows[row].size(); ++i) {
            const auto ahead = read_live(state.cell[row][i]) - now;
            rows[row][i] = ahead > guard ? 0 : ahead;
        }
    return rows;
}

// Of a row's cells, those at or above a level.
double share_from(const Row& row, std::uint32_t level) {
    std::uint32_t count = 0;
    for (const auto each : row) count += each >= level ? 1U : 0U;
    return static_cast<double>(count) / NATRA_SKETCH_COLS;
}

// That a flow whose cells are any, one in each row, finds all of them at or above a level: its estimate is the lowest.
double chance_from(const Rows& rows, std::uint32_t level) {
    double chance = 1;
    for (const auto& row : rows) chance *= share_from(row, level);
    return chance;
}

// The lowest level that an estimate is above with a chance of at most `unlikely`.
std::uint32_t likely_most(const Rows& rows) {
    if (chance_from(rows, 1) <= unlikely) return 0;
    std::uint32_t low = 1;
    std::uint32_t high = 1;
    for (const auto& row : rows) high = std::max(high, *std::max_element(row.begin(), row.end()));
    while (low < high) {
        const auto middle = low + (high - low) / 2;
        if (chance_from(rows, middle + 1) <= unlikely)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

// As flows_with() has it for strangers, which a flow that begins is one of.
std::uint64_t competing_flows(const natra_state& state, std::uint64_t now_ns) {
    natra_activity activity{};
    std::memcpy(&activity, &state.activity, sizeof activity);
    if (now_ns >= activity.until_ns) return 1;
    const bool noted = ((activity.seen[0][0] | activity.seen[1][0]) & 1) != 0;  // strangers have the first bit
    return std::clamp<std::uint64_t>(activity.flows + (noted ? 0U : 1U), 1, NATRA_MAX_FLOWS);
}

// As sketch_tau() has it.
std::uint32_t threshold(const natra_config& config, std::uint64_t flows) {
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(std::max<std::uint64_t>(config.tau_flow * flows, config.tau_min), config.tau_max));
}

// What a flow may send for so many units beside so many others.
std::uint64_t to_bytes(const natra_config& config, std::uint32_t units, std::uint64_t flows) {
    return static_cast<std::uint64_t>(std::ldexp(units, static_cast<int>(config.flow_shift)) /
                                      (static_cast<double>(config.flow_mult) * static_cast<double>(flows)));
}

Accuracy accuracy_with(const natra_state& state, const natra_config& config, std::uint64_t now_ns) {
    if (config.mode == NATRA_MODE_OFF || config.flow_mult == 0) return {};
    const auto rows = read_levels(state, config, now_ns);
    const auto flows = competing_flows(state, now_ns);
    const auto heavy_from = threshold(config, flows);
    Accuracy out;
    for (const auto& row : rows) out.occupancy += share_from(row, 1) / NATRA_SKETCH_ROWS;
    out.threshold_bytes = to_bytes(config, heavy_from, flows);
    // Nothing is in use, as with most pods most of the time: what follows would find that out cell by cell.
    if (out.occupancy == 0 && heavy_from > 0) return out;
    out.false_heavy_chance = chance_from(rows, heavy_from);
    out.overestimate_bytes = to_bytes(config, likely_most(rows), flows);
    return out;
}

}  // namespace

Accuracy accuracy_of(const natra_state& state, std::uint64_t now_ns) {
    return with_live_config(state, [&](const natra_config& config) { return accuracy_with(state, config, now_ns); })
        .value_or(Accuracy{});
}

}  // namespace natra::datapath
