// SPDX-License-Identifier: Apache-2.0
#include "daemon/limits/limits.hpp"

#include <gtest/gtest.h>

#include <string>

namespace natra::limits {
namespace {

TEST(Source, NamesAreOneToOne) {
    for (const auto source : {Source::none, Source::node_default, Source::runtime, Source::annotation, Source::conf,
                              Source::ceiling, Source::operator_override}) {
        EXPECT_EQ(source_from(to_string(source)), source);
    }
    EXPECT_EQ(to_string(Source::node_default), "default");
    EXPECT_EQ(to_string(Source::ceiling), "ceiling");
    EXPECT_EQ(to_string(Source::operator_override), "operator_override");
    EXPECT_EQ(source_from(""), std::nullopt);
    EXPECT_EQ(source_from("Conf"), std::nullopt);
}

TEST(Source, StrongerOnesCompareGreater) {
    EXPECT_LT(Source::none, Source::node_default);
    EXPECT_LT(Source::node_default, Source::runtime);
    EXPECT_LT(Source::runtime, Source::annotation);
    EXPECT_LT(Source::annotation, Source::conf);
    EXPECT_LT(Source::conf, Source::ceiling);
    EXPECT_LT(Source::ceiling, Source::operator_override);
}

struct Pair {
    std::uint64_t rate_bps;
    std::uint64_t burst_bits;
    const char* error;  // nullptr: valid
};

// The table of upstream's own test, and both sides of each bound.
constexpr const char* no_burst = "if rate is set, burst must also be set";
constexpr const char* no_rate = "if burst is set, rate must also be set";
constexpr const char* too_much = "burst cannot be more than 4GB";
constexpr Pair pairs[] = {
    {0, 0, nullptr},
    {1, 0, no_burst},
    {UINT64_MAX, 0, no_burst},
    {0, 1, no_rate},
    {0, UINT64_MAX, no_rate},
    {5000, 34359738352, nullptr},  // 2^35 - 16
    {5000, 34359738359, nullptr},  // CRI-O's
    {5000, 34359738360, too_much},
    {5000, 34359738368, too_much},  // 2^35
    {1, UINT64_MAX, too_much},
    {UINT64_MAX, 1, nullptr},
};

TEST(ValidatePair, AnswersAsUpstreamDoes) {
    for (const auto& [rate, burst, error] : pairs) {
        SCOPED_TRACE(std::to_string(rate) + " bit/s, " + std::to_string(burst) + " bits");
        const auto r = validate_pair(rate, burst);
        ASSERT_EQ(static_cast<bool>(r), error == nullptr);
        if (error == nullptr) continue;
        EXPECT_EQ(r.error().what, error);
        EXPECT_EQ(r.error().code, Error::Code::invalid_argument);
    }
}

TEST(FillerBurst, KnowsWhatRuntimesSend) {
    for (const std::uint64_t filler : {2147483647ULL, 2147483648ULL,    // dockershim
                                       4294967295ULL, 4294967296ULL,    // containerd, Calico
                                       34359738359ULL, 34359738360ULL,  // CRI-O
                                       2147483640ULL, 4294967288ULL, 34359738352ULL, 17179869176ULL, 17179869184ULL})
        EXPECT_TRUE(is_filler_burst(filler)) << filler;
    for (const std::uint64_t asked : {0ULL, 1ULL, 8ULL, 1000000ULL, 2147483646ULL, 2147483649ULL, 4294967294ULL,
                                      4294967297ULL, 8589934592ULL, 34359738351ULL, 34359738358ULL})
        EXPECT_FALSE(is_filler_burst(asked)) << asked;
}

constexpr std::uint64_t mbit = 1'000'000;

TEST(BurstPolicy, MakesFillersTheDefault) {
    const Limit asked{.rate_bps = 10 * mbit, .burst_bits = 4294967295, .source = Source::runtime};
    EXPECT_EQ(apply_burst_policy(asked, {}), (Limit{10 * mbit, 0, Source::runtime}));
}

TEST(BurstPolicy, HonoursAnExplicitBurstUpToTheMaximum) {
    const BurstPolicy half_a_second{.max_burst_ns = 500'000'000};
    const auto burst_of = [&](std::uint64_t burst) {
        return apply_burst_policy({.rate_bps = 10 * mbit, .burst_bits = burst, .source = Source::conf}, half_a_second)
            .burst_bits;
    };
    EXPECT_EQ(burst_of(1), 1U);
    EXPECT_EQ(burst_of(5 * mbit), 5 * mbit);
    EXPECT_EQ(burst_of(5 * mbit + 1), 5 * mbit);
    EXPECT_EQ(burst_of(1'000'000'000), 5 * mbit);
    EXPECT_EQ(burst_of(0), 0U) << "0 is the default, not an explicit burst";
}

TEST(BurstPolicy, NeverCutsAnExplicitBurstToTheDefault) {
    const Limit asked{.rate_bps = 8, .burst_bits = 1'000'000};
    EXPECT_EQ(apply_burst_policy(asked, {.max_burst_ns = 1000}).burst_bits, 8U);
}

TEST(BurstPolicy, CutsWithoutOverflow) {
    const Limit asked{.rate_bps = UINT64_MAX, .burst_bits = burst_limit_bits - 9};
    EXPECT_EQ(apply_burst_policy(asked, {.max_burst_ns = UINT64_MAX}).burst_bits, burst_limit_bits - 9);
    EXPECT_EQ(apply_burst_policy({.rate_bps = 1'000'000'000'000'000, .burst_bits = 20'000'000'000}, {}).burst_bits,
              20'000'000'000U);
}

TEST(BurstPolicy, RaisesRatesBelowOneByteASecond) {
    for (std::uint64_t rate = 1; rate <= 8; ++rate)
        EXPECT_EQ(apply_burst_policy({.rate_bps = rate, .burst_bits = 8}, {}).rate_bps, 8U) << rate;
    EXPECT_EQ(apply_burst_policy({.rate_bps = 9, .burst_bits = 8}, {}).rate_bps, 9U);
    EXPECT_EQ(apply_burst_policy({.rate_bps = 1, .burst_bits = 8}, {.honour_fillers = true}).rate_bps, 8U);
}

TEST(BurstPolicy, RuntimeKeepsEveryBurst) {
    for (const std::uint64_t burst : {1ULL, 4294967295ULL, 34359738359ULL}) {
        const Limit asked{.rate_bps = 1000, .burst_bits = burst, .source = Source::runtime};
        EXPECT_EQ(apply_burst_policy(asked, {.honour_fillers = true}), asked);
    }
}

TEST(BurstPolicy, LeavesAnUnlimitedDirectionUnlimited) {
    const auto out = apply_burst_policy({.rate_bps = 0, .burst_bits = 4294967295, .source = Source::conf}, {});
    EXPECT_FALSE(out.limited());
    EXPECT_EQ(out.burst_bits, 0U);
}

TEST(Limits, AnyMeansOneDirectionAtLeast) {
    EXPECT_FALSE(Limits{}.any());
    EXPECT_TRUE((Limits{.ingress = {.rate_bps = 1}}.any()));
    EXPECT_TRUE((Limits{.egress = {.rate_bps = 1}}.any()));
}

}  // namespace
}  // namespace natra::limits
