// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/shaper.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace natra::datapath {
namespace {

FqShape shape_at(std::uint64_t rate_bps, Direction direction) {
    const Rate rate{.rate_bps = rate_bps};
    return fq_shape(rate, make_config({.rate_bps = rate_bps, .shaper = Shaper::edt, .direction = direction}));
}

// Packets of that length that the program lets wait.
double waiting(std::uint64_t rate_bps, Direction direction, double bytes) {
    const auto config = make_config({.rate_bps = rate_bps, .shaper = Shaper::edt, .direction = direction});
    // flows that are not heavy for good may wait a quarter longer
    const auto horizon_ns = 1.25 * static_cast<double>(config.horizon_ns);
    return static_cast<double>(rate_bps) / 8 * horizon_ns / 1e9 / bytes;
}

TEST(FqShape, HoldsWhatTheProgramLetsWaitAtAnyRate) {
    for (const auto direction : directions) {
        for (double rate = 8; rate <= 1e12; rate *= 3) {
            SCOPED_TRACE(std::to_string(rate));
            const auto bps = static_cast<std::uint64_t>(rate);
            const auto shape = shape_at(bps, direction);
            // datagrams without a byte are 42 long between a veth pair; above some rate nobody can send them
            const double shortest = bps <= 100'000'000'000 ? 42 : 200;
            EXPECT_GE(shape.flow_limit, std::min(waiting(bps, direction, shortest), 2e9)) << "one flow may be all";
            EXPECT_GE(shape.limit, shape.flow_limit);
        }
    }
}

TEST(FqShape, IsNoSmallerThanItWas) {
    EXPECT_EQ(shape_at(64'000, Direction::egress).flow_limit, 10'000U);
    EXPECT_EQ(shape_at(64'000, Direction::egress).limit, 40'000U);
}

TEST(FqShape, FitsAtTheHighestRate) {
    EXPECT_LE(shape_at(1'000'000'000'000'000, Direction::egress).limit, 0x7fffffffU);
    EXPECT_GE(shape_at(1'000'000'000'000'000, Direction::egress).limit, 0x7ffffff0U);
}

}  // namespace
}  // namespace natra::datapath
