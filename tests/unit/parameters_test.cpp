// SPDX-License-Identifier: Apache-2.0
// Properties of make_config at every rate it takes, rather than its outputs.
#include "daemon/datapath/parameters.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

namespace natra::datapath {
namespace {

constexpr double ms = 1e6;  // ns
constexpr std::uint64_t min_rate = 8;
constexpr std::uint64_t max_rate = 1'000'000'000'000'000;
constexpr std::uint64_t longest_packet = (1U << 20) - 1;  // as the program cuts it
constexpr Shaper shapers[] = {Shaper::edt, Shaper::htb, Shaper::police};
constexpr Direction directions[] = {Direction::ingress, Direction::egress};

// Twelve rates a decade, and both ends.
std::vector<std::uint64_t> rates() {
    std::vector<std::uint64_t> all{min_rate};
    for (double rate = 11; rate < static_cast<double>(max_rate); rate *= std::pow(10, 1.0 / 12)) {
        all.push_back(static_cast<std::uint64_t>(rate));
    }
    all.push_back(max_rate);
    return all;
}

std::string name(Shaper shaper) { return shaper == Shaper::edt ? "edt" : shaper == Shaper::htb ? "htb" : "police"; }

// Calls check(request, config) for all rates, shapers and directions.
template <class Check> void sweep(std::uint64_t burst_bits, const Check& check) {
    for (const std::uint64_t rate : rates()) {
        for (const Shaper shaper : shapers) {
            for (const Direction direction : directions) {
                SCOPED_TRACE(std::to_string(rate) + " bit/s, " + name(shaper) +
                             (direction == Direction::egress ? ", egress" : ", ingress"));
                const ShapeRequest request{
                    .rate_bps = rate, .burst_bits = burst_bits, .shaper = shaper, .direction = direction};
                check(request, make_config(request));
            }
        }
    }
}

double bytes_per_second(const ShapeRequest& request) { return static_cast<double>(request.rate_bps) / 8; }
// In ns.
double time_of(double bytes, const ShapeRequest& request) { return bytes * 1e9 / bytes_per_second(request); }

// The program's arithmetic.
std::uint64_t cost(std::uint64_t bytes, std::uint64_t mult, std::uint32_t shift) { return bytes * mult >> shift; }

double unit_ns(const natra_config& config) { return std::ldexp(1, static_cast<int>(config.unit_shift)); }

// What the program multiplies, without an end.
__extension__ using Wide = unsigned __int128;
constexpr Wide overflow = Wide{1} << 64;
constexpr Wide negative = Wide{1} << 63;  // where differences of times stop to be what they seem

TEST(Parameters, NoCostOverflows) {
    sweep(0, [](const ShapeRequest&, const natra_config& config) {
        for (const std::uint64_t mult : {config.total_mult, config.small_mult, config.cell_mult}) {
            EXPECT_GT(mult, 0U);
            EXPECT_LT(mult, 1ULL << 44);
            EXPECT_LT(Wide{longest_packet} * mult, overflow);
        }
        EXPECT_GT(config.flow_mult, 0U);
        EXPECT_LT(config.flow_mult, 1ULL << 34);
        EXPECT_LT(Wide{longest_packet} * NATRA_MAX_FLOWS * config.flow_mult, overflow);
        for (const std::uint32_t shift : {config.total_shift, config.small_shift}) {
            EXPECT_GT(shift, 0U) << "fractions are what is shifted out";
            EXPECT_LT(shift, 64U);
        }
        for (const std::uint32_t shift : {config.cell_shift, config.flow_shift}) EXPECT_LT(shift, 64U);
    });
}

TEST(Parameters, NoBoundOverflows) {
    for (const std::uint64_t threshold : {std::uint64_t{0}, std::uint64_t{1}, UINT64_MAX}) {
        for (const std::uint64_t rate : rates()) {
            for (const Shaper shaper : shapers) {
                SCOPED_TRACE(std::to_string(rate) + " bit/s, " + std::to_string(threshold) + " bytes, " + name(shaper));
                const auto config =
                    make_config({.rate_bps = rate, .heavy_threshold_bytes = threshold, .shaper = shaper});
                // tau, and the part of it that a flow may be ahead of its fair share
                EXPECT_GT(config.tau_flow, 0U);
                EXPECT_LT(Wide{config.tau_flow} * NATRA_MAX_FLOWS * 160, negative);
                EXPECT_LT(Wide{config.tau_max} + config.excess_cap, Wide{1} << 32);
                EXPECT_LT(Wide{config.fair_max} * 255, negative) << "the random part of the bound";
                EXPECT_LT(Wide{config.fair_max} * 4 + 1, Wide{1} << 32) << "as far as a flow's clock runs";
                // how long an epoch takes at most, and twice that
                EXPECT_LT(Wide{config.epoch_flow_ns} * NATRA_MAX_FLOWS, negative);
                EXPECT_LT(Wide{config.epoch_max_ns} * 2, negative);
                // the interval through a root, in 256ths, and sixteen of it
                EXPECT_LT(Wide{config.aqm_interval_ns} * 256, overflow);
                EXPECT_LT(Wide{config.aqm_target_ns} * 2, negative);
                EXPECT_LT(Wide{config.horizon_ns} + config.horizon_ns / 4, negative);
            }
        }
    }
}

TEST(Parameters, CostsAreTheRatesToAMillionthOrANanosecond) {
    sweep(0, [](const ShapeRequest& request, const natra_config& config) {
        for (const std::uint64_t bytes :
             {std::uint64_t{64}, std::uint64_t{1514}, std::uint64_t{65536}, longest_packet}) {
            const double exact = time_of(static_cast<double>(bytes), request);
            EXPECT_NEAR(static_cast<double>(cost(bytes, config.total_mult, config.total_shift)), exact,
                        exact * 1e-6 + 1);
            EXPECT_NEAR(static_cast<double>(cost(bytes, config.small_mult, config.small_shift)), exact / 0.73,
                        exact * 1e-6 + 1);
        }
    });
}

// As price_of() has it.
std::uint64_t price(std::uint64_t bytes, std::uint64_t flows, const natra_config& config) {
    return (bytes * flows * config.flow_mult >> config.flow_shift) + 1;
}

TEST(Parameters, PriceIsTheTimeAtTwoThirdsOfAFairShare) {
    sweep(0, [](const ShapeRequest& request, const natra_config& config) {
        for (const std::uint64_t flows : {1U, 10U, 1023U}) {
            for (const std::uint64_t bytes : {std::uint64_t{64}, std::uint64_t{1514}, longest_packet}) {
                const double exact =
                    1.5 * static_cast<double>(flows) * time_of(static_cast<double>(bytes), request) / unit_ns(config);
                EXPECT_GE(static_cast<double>(price(bytes, flows, config)), exact) << "rounded up";
                EXPECT_LE(static_cast<double>(price(bytes, flows, config)), exact * (1 + 1e-6) + 1.001);
            }
        }
    });
}

TEST(Parameters, ShortPacketsCostTheirTimeAtAShareOfTheRateAtMost) {
    sweep(0, [](const ShapeRequest& request, const natra_config& config) {
        const double rate = bytes_per_second(request);
        const double drain = std::clamp(rate / 32, std::min(125e3, rate / 10), rate / 10);
        const double units = static_cast<double>(cost(65536, config.cell_mult, config.cell_shift));
        EXPECT_NEAR(units, 65536 / drain * 1e9 / unit_ns(config), units * 1e-6 + 1);
    });
}

TEST(Parameters, ThresholdIsAShortFlowWithinBounds) {
    sweep(0, [](const ShapeRequest& request, const natra_config& config) {
        const double threshold = std::max(32768.0, bytes_per_second(request) * 0.005);
        const double tau = 1.5 * time_of(threshold, request);
        EXPECT_NEAR(static_cast<double>(config.tau_flow), tau / unit_ns(config), 1 + tau * 1e-9);
        EXPECT_NEAR(config.tau_min, 50 * ms / unit_ns(config), 1) << "room for the bursts of a flow within its share";
        EXPECT_NEAR(config.tau_max, std::max(tau, 4'000 * ms) / unit_ns(config), 1 + tau * 1e-9);
        EXPECT_LE(config.tau_min, config.tau_max);
        EXPECT_LE(config.tau_flow, config.tau_max) << "a flow that is alone has all of it";
        EXPECT_NEAR(config.excess_cap, 100 * ms / unit_ns(config), 1);
    });
}

TEST(Parameters, AThresholdOfOnesOwnHoldsAtEveryRate) {
    for (const std::uint64_t threshold : {1514ULL, 20'000ULL, 1ULL << 20, 256ULL << 20}) {
        for (const std::uint64_t rate : rates()) {
            SCOPED_TRACE(std::to_string(rate) + " bit/s, " + std::to_string(threshold) + " bytes");
            const auto config = make_config({.rate_bps = rate, .heavy_threshold_bytes = threshold});
            const double units_per_byte =
                std::ldexp(static_cast<double>(config.flow_mult), -static_cast<int>(config.flow_shift));
            const double bytes = static_cast<double>(config.tau_flow) / units_per_byte;
            EXPECT_NEAR(bytes, static_cast<double>(threshold), 1 / units_per_byte + 64) << "rounded to units";
            EXPECT_EQ(config.tau_min, 0U) << "no other is larger";
            EXPECT_GE(config.tau_max, config.tau_flow);
            EXPECT_LE(config.guard, (1U << 27) + 5);
            if (rate <= 10'000'000'000) {
                EXPECT_GE(cost(64, config.cell_mult, config.cell_shift), 1U);
            }
        }
    }
    const auto cut = make_config({.rate_bps = 1'000'000, .heavy_threshold_bytes = UINT64_MAX});
    const auto most = make_config({.rate_bps = 1'000'000, .heavy_threshold_bytes = 256ULL << 20});
    EXPECT_EQ(cut.tau_flow, most.tau_flow);
    EXPECT_EQ(cut.tau_max, most.tau_max);
}

TEST(Parameters, CellsHoldWhateverTheProgramPutsIntoThem) {
    for (const std::uint64_t threshold : {std::uint64_t{0}, std::uint64_t{1}, UINT64_MAX}) {
        for (const std::uint64_t rate : rates()) {
            for (const Shaper shaper : shapers) {
                SCOPED_TRACE(std::to_string(rate) + " bit/s, " + std::to_string(threshold) + " bytes, " + name(shaper));
                const auto config =
                    make_config({.rate_bps = rate, .heavy_threshold_bytes = threshold, .shaper = shaper});
                EXPECT_GE(config.guard, Wide{config.tau_max} + config.excess_cap) << "an estimate of a heavy flow";
                EXPECT_GE(config.guard, Wide{config.fair_max} * 4 + 1) << "a clock of fairness";
                // one stale cell in 32 at most is taken for one ahead of now
                EXPECT_LE(config.guard, (1U << 27) + 5);
            }
        }
    }
}

TEST(Parameters, SmallestPacketsCountInTheSketchUpToTenGigabit) {
    sweep(0, [](const ShapeRequest& request, const natra_config& config) {
        // a rate at which 64 bytes were 0 units would make floods of them invisible
        if (request.rate_bps > 10'000'000'000) return;
        EXPECT_GE(cost(64, config.cell_mult, config.cell_shift), request.rate_bps >= 1000 ? 4U : 1U);
    });
}

TEST(Parameters, FirstSecondAfterIdleStaysWithinATenthOfTheCap) {
    sweep(0, [](const ShapeRequest& request, const natra_config& config) {
        // What may have left by t, in ns of the rate: t, the saved credit, as much again for the one packet that
        // may start on it, and what small flows run ahead at 0.73 of the rate.
        const double ahead =
            2 * static_cast<double>(config.burst_ns) +
            0.73 * static_cast<double>(std::max(config.small_allowance_ns, config.small_allowance_min_ns));
        if (request.shaper == Shaper::police) {
            // below a bucket of 200 ms TCP starves, so the last resort cannot keep to a tenth
            EXPECT_EQ(config.burst_ns, 200 * ms);
        } else {
            // Where two frames take longer than that, they have room, for 600 ms at most.
            const double frames = 1.5 * std::min(2 * time_of(1514, request), 0.73 * 600 * ms);
            EXPECT_LE(ahead, std::max(100 * ms, frames + 2 * static_cast<double>(config.burst_ns)) + 1);
        }
    });
}

TEST(Parameters, SmallFlowsGetMoreRoomWhereNothingQueuesThem) {
    for (const std::uint64_t rate : rates()) {
        const auto edt = make_config({.rate_bps = rate, .shaper = Shaper::edt});
        const auto htb = make_config({.rate_bps = rate, .shaper = Shaper::htb});
        EXPECT_GE(edt.small_allowance_ns, htb.small_allowance_ns);
        EXPECT_GE(htb.small_allowance_ns, 40 * ms);
        EXPECT_GE(edt.small_allowance_ns, 50 * ms);
        EXPECT_EQ(edt.small_allowance_min_ns, edt.small_allowance_ns * 3 / 2);
    }
    // a short flow of 64 kB fits as long as the first second allows it
    EXPECT_NEAR(static_cast<double>(make_config({.rate_bps = 10'000'000, .shaper = Shaper::htb}).small_allowance_ns),
                65536 * 8 / 10e6 * 1e9, 1);
}

TEST(Parameters, ASocketsWholeBufferMayWaitInThePod) {
    constexpr double buffer = 90 * 1514;  // bytes: 208 KiB of memory in full frames
    sweep(0, [](const ShapeRequest& request, const natra_config& config) {
        if (request.direction != Direction::egress) return;
        EXPECT_GE(static_cast<double>(config.horizon_ns), std::min(time_of(buffer, request), 250 * ms));
    });
}

TEST(Parameters, HorizonHoldsASegmentAndNoMoreThanTenFramesOrTwoSeconds) {
    constexpr double fq_horizon = 10'000 * ms;
    sweep(0, [](const ShapeRequest& request, const natra_config& config) {
        const auto horizon = static_cast<double>(config.horizon_ns);
        EXPECT_LE(horizon, std::min(std::max(2'000 * ms, 10 * time_of(1514, request)), 9'000 * ms) + 1);
        EXPECT_GE(horizon, std::min(1.25 * time_of(65536, request), 2'000 * ms) - 1);
        EXPECT_GE(horizon, (request.direction == Direction::egress ? 250 : 100) * ms);
        for (const std::uint64_t sooner : {config.ce_ns, config.l4s_ns, config.aqm_target_ns})
            EXPECT_LE(sooner, config.horizon_ns) << "marks and single losses come first";
    });
    EXPECT_LT(static_cast<double>(NATRA_EDT_MAX_NS), fq_horizon);
    EXPECT_GT(static_cast<double>(NATRA_EDT_MAX_NS), 9'000 * ms);
}

constexpr double slow_frame = 1514 * 8 / 1e6 * 1e9;  // at 1 Mbit/s, ns

TEST(Parameters, MarksStartAtTwelveMillisecondsOrFourFrames) {
    EXPECT_EQ(make_config({.rate_bps = 100'000'000}).ce_ns, 12 * ms);
    EXPECT_NEAR(static_cast<double>(make_config({.rate_bps = 1'000'000}).ce_ns), 4 * slow_frame, 1);
}

TEST(Parameters, L4sMarksStartAtOneMillisecondOrTwoFrames) {
    EXPECT_EQ(make_config({.rate_bps = 100'000'000}).l4s_ns, 1 * ms);
    EXPECT_NEAR(static_cast<double>(make_config({.rate_bps = 1'000'000}).l4s_ns), 2 * slow_frame, 1);
    sweep(0, [](const ShapeRequest&, const natra_config& config) { EXPECT_LE(config.l4s_ns, config.ce_ns); });
}

TEST(Parameters, LossesStartAtFifteenMillisecondsOrEightFramesThatStand) {
    EXPECT_EQ(make_config({.rate_bps = 100'000'000}).aqm_target_ns, 15 * ms);
    EXPECT_EQ(make_config({.rate_bps = 100'000'000}).aqm_interval_ns, 100 * ms);
    EXPECT_NEAR(static_cast<double>(make_config({.rate_bps = 1'000'000}).aqm_target_ns), 8 * slow_frame, 1);
    EXPECT_NEAR(static_cast<double>(make_config({.rate_bps = 1'000'000}).aqm_interval_ns), 16 * slow_frame, 1);
    sweep(0, [](const ShapeRequest&, const natra_config& config) {
        EXPECT_GE(config.aqm_target_ns, config.ce_ns) << "marks come first";
        EXPECT_GE(config.aqm_interval_ns, config.aqm_target_ns);
    });
}

TEST(Parameters, EpochsSeeFourPacketsOfEachFlowWithinBounds) {
    sweep(0, [](const ShapeRequest& request, const natra_config& config) {
        EXPECT_NEAR(static_cast<double>(config.epoch_flow_ns), std::min(8 * time_of(1514, request), 1'000 * ms), 1);
        EXPECT_EQ(config.epoch_min_ns, 500 * ms);
        EXPECT_EQ(config.epoch_max_ns, 2'000 * ms);
    });
}

TEST(Parameters, FairnessToleratesTwoSegmentsAndAPolicedBucket) {
    const auto fair_min = [](std::uint64_t rate, Shaper shaper) {
        const auto config = make_config({.rate_bps = rate, .shaper = shaper});
        return config.fair_min * unit_ns(config);
    };
    const double unit = unit_ns(make_config({.rate_bps = 100'000'000}));
    EXPECT_NEAR(fair_min(100'000'000, Shaper::htb), 40 * ms, unit);
    EXPECT_NEAR(fair_min(100'000'000, Shaper::police), 200 * ms, unit);
    EXPECT_NEAR(fair_min(10'000'000, Shaper::htb), 2 * 65536 * 8 / 10e6 * 1e9, unit);
    sweep(0, [](const ShapeRequest&, const natra_config& config) {
        EXPECT_LE(config.fair_min, config.fair_max);
        EXPECT_GE(config.fair_max, 4'000 * ms / unit_ns(config));
    });
}

struct BurstCase {
    std::uint64_t rate_bps;
    std::uint64_t burst_bits;
    Shaper shaper;
    double burst_ns;
};

TEST(Parameters, BurstIsACreditAtTheRate) {
    const BurstCase cases[] = {
        {10'000'000, 0, Shaper::edt, 5 * ms},
        {10'000'000, 0, Shaper::htb, 5 * ms},
        {10'000'000, 0, Shaper::police, 200 * ms},
        {10'000'000, 1'000'000, Shaper::edt, 100 * ms},
        {10'000'000, 10'000'000, Shaper::police, 1000 * ms},
        {10'000'000, 1'000'000, Shaper::police, 200 * ms},  // smaller buckets starve TCP
        {1'000'000'000, 8, Shaper::htb, 1 * ms},            // one byte is no burst
        {8, UINT64_MAX, Shaper::edt, 1e15},                 // bounded
        {8'000, 2'147'483'647, Shaper::edt, 2'147'483'647.0 / 8'000 * 1e9},
    };
    for (const BurstCase& one : cases) {
        SCOPED_TRACE(std::to_string(one.rate_bps) + " bit/s, " + std::to_string(one.burst_bits) + " bits, " +
                     name(one.shaper));
        const auto config = make_config({.rate_bps = one.rate_bps, .burst_bits = one.burst_bits, .shaper = one.shaper});
        EXPECT_NEAR(static_cast<double>(config.burst_ns), one.burst_ns, one.burst_ns * 1e-9 + 1);
    }
}

TEST(Parameters, RatesOutsideTheRangeAreClamped) {
    const auto same = [](const natra_config& a, const natra_config& b) { return std::memcmp(&a, &b, sizeof(a)) == 0; };
    EXPECT_TRUE(same(make_config({.rate_bps = 0}), make_config({.rate_bps = min_rate})));
    EXPECT_TRUE(same(make_config({.rate_bps = UINT64_MAX}), make_config({.rate_bps = max_rate})));
    EXPECT_FALSE(same(make_config({.rate_bps = 9}), make_config({.rate_bps = min_rate})));
}

TEST(Parameters, FasterRatesNeverCostMore) {
    std::uint64_t previous = UINT64_MAX;
    for (const std::uint64_t rate : rates()) {
        const auto config = make_config({.rate_bps = rate});
        const std::uint64_t now = cost(1514, config.total_mult, config.total_shift);
        EXPECT_LE(now, previous) << rate << " bit/s";
        previous = now;
    }
}

TEST(Parameters, ModeAndFlagsFollowTheRequest) {
    EXPECT_EQ(make_config({.rate_bps = 1000, .shaper = Shaper::edt}).mode, std::uint32_t{NATRA_MODE_EDT});
    EXPECT_EQ(make_config({.rate_bps = 1000, .shaper = Shaper::htb}).mode, std::uint32_t{NATRA_MODE_HTB});
    EXPECT_EQ(make_config({.rate_bps = 1000, .shaper = Shaper::police}).mode, std::uint32_t{NATRA_MODE_POLICE});
    constexpr auto out = Direction::egress;
    EXPECT_EQ(make_config({.rate_bps = 1000, .direction = out}).flags, 0U);
    EXPECT_EQ(make_config({.rate_bps = 1000, .direction = Direction::ingress}).flags, NATRA_F_TO_POD);
    EXPECT_EQ(make_config({.rate_bps = 1000, .direction = out, .shared_counters = true}).flags,
              NATRA_F_SHARED_COUNTERS);
    EXPECT_EQ(make_config({.rate_bps = 1000, .direction = out, .lose = true}).flags, NATRA_F_LOSE);
}

}  // namespace
}  // namespace natra::datapath
