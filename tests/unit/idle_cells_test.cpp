// SPDX-License-Identifier: Apache-2.0
// Cells that nobody touches stay empty while the time wraps.
#include "daemon/datapath/idle_cells.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <memory>

#include "daemon/datapath/accuracy.hpp"
#include "daemon/datapath/parameters.hpp"

namespace natra::datapath {
namespace {

constexpr std::uint64_t second_ns = 1'000'000'000;

class IdleCells : public ::testing::Test {
protected:
    void SetUp() override { state_->config[0] = make_config({.rate_bps = 10'000'000, .shaper = Shaper::htb}); }
    const natra_config& config() { return state_->config[0]; }
    std::uint32_t units(std::uint64_t ns) { return static_cast<std::uint32_t>(ns >> config().unit_shift); }
    bool seem_full(std::uint64_t now_ns) { return accuracy_of(*state_, now_ns).false_heavy_chance > 0; }

    // What 32 bits of units hold.
    std::uint64_t wrap_ns() { return (std::uint64_t{1} << 32) << config().unit_shift; }

    std::unique_ptr<natra_state> state_ = std::make_unique<natra_state>();
};

TEST_F(IdleCells, AreEmptyAtAnyTime) {
    for (const std::uint64_t now_ns : {second_ns, wrap_ns() - second_ns, 7 * wrap_ns() - 5, 7 * wrap_ns() + 5}) {
        empty_cells(*state_, config().unit_shift, now_ns);
        EXPECT_FALSE(seem_full(now_ns)) << now_ns;
        EXPECT_FALSE(seem_full(now_ns + 500 * second_ns)) << now_ns;
    }
}

TEST_F(IdleCells, StayEmptyWhileTheTimeWraps) {
    std::uint64_t now_ns = 100 * second_ns;
    empty_cells(*state_, config().unit_shift, now_ns);
    EXPECT_TRUE(seem_full(now_ns + wrap_ns() - second_ns)) << "without renewal";
    for (const std::uint64_t end = now_ns + 3 * wrap_ns(); now_ns < end; now_ns += 10 * second_ns) {
        renew_idle_cells(*state_, now_ns);
        ASSERT_FALSE(seem_full(now_ns)) << now_ns / second_ns << " s";
        for (const auto& row : state_->fair)
            for (const auto cell : row) ASSERT_GT(cell - units(now_ns), config().guard);
    }
}

TEST_F(IdleCells, InUseStayWhatTheyAre) {
    const std::uint64_t now_ns = 100 * second_ns;
    empty_cells(*state_, config().unit_shift, now_ns);
    const std::uint32_t used[] = {units(now_ns) + config().guard, units(now_ns) + 1, units(now_ns) - 1000};
    std::copy(std::begin(used), std::end(used), std::begin(state_->cell[3]));
    std::copy(std::begin(used), std::end(used), std::begin(state_->fair[1]));
    renew_idle_cells(*state_, now_ns);
    for (std::size_t i = 0; i < std::size(used); ++i) {
        EXPECT_EQ(state_->cell[3][i], used[i]);
        EXPECT_EQ(state_->fair[1][i], used[i]);
    }
}

}  // namespace
}  // namespace natra::datapath
