// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/passage.hpp"

#include <gtest/gtest.h>

namespace natra::pods {
namespace {

Passage::Counts counts(std::uint64_t through, std::uint64_t carried, const char* limiter = "TBF 1000") {
    return {.limiter = limiter, .through = through, .carried = carried};
}

TEST(Passage, IsProvenByPacketsOnly) {
    Passage passage;
    EXPECT_FALSE(passage.look(counts(1000, 1000)));
    EXPECT_FALSE(passage.look(counts(1000, 1000)));
    EXPECT_FALSE(passage.look(counts(1031, 1031)));
    EXPECT_TRUE(passage.look(counts(1032, 1032)));
    // Silence changes nothing.
    EXPECT_TRUE(passage.look(counts(1032, 1032)));
}

TEST(Passage, IsDisprovenByPacketsThatGoAnotherWay) {
    Passage passage;
    (void)passage.look(counts(0, 0));
    EXPECT_TRUE(passage.look(counts(100, 100)));
    EXPECT_FALSE(passage.look(counts(150, 200)));
    EXPECT_TRUE(passage.look(counts(245, 300)));
}

TEST(Passage, MayCountMoreThanTheDevice) {
    Passage passage;
    (void)passage.look(counts(0, 0));
    EXPECT_TRUE(passage.look(counts(4500, 100)));
}

// A few large packets that the limiter counts segment by segment are no proof for as many small ones.
TEST(Passage, IsOfBytesAsWell) {
    Passage passage;
    (void)passage.look({.limiter = "TBF 1000"});
    EXPECT_FALSE(passage.look(
        {.limiter = "TBF 1000", .through = 44, .through_bytes = 66'000, .carried = 32, .carried_bytes = 31 * 65'000}));
    EXPECT_TRUE(passage.look({.limiter = "TBF 1000",
                              .through = 444,
                              .through_bytes = 666'000,
                              .carried = 64,
                              .carried_bytes = 31 * 65'000 + 600'000}));
}

TEST(Passage, OfAnotherLimiterOrRateIsAnother) {
    Passage passage;
    (void)passage.look(counts(0, 0));
    EXPECT_TRUE(passage.look(counts(100, 100)));
    EXPECT_FALSE(passage.look(counts(200, 200, "TBF 2000")));
    EXPECT_TRUE(passage.look(counts(300, 300, "TBF 2000")));
    EXPECT_FALSE(passage.look(counts(0, 400, "TBF 2000")));
    EXPECT_TRUE(passage.look(counts(100, 500, "TBF 2000")));
}

TEST(Passage, IsForgottenWithTheLimiter) {
    Passage passage;
    (void)passage.look(counts(0, 0));
    EXPECT_TRUE(passage.look(counts(100, 100)));
    passage.forget();
    EXPECT_FALSE(passage.look(counts(200, 200)));
}

TEST(Passage, IsNeverTrustedAgain) {
    Passage passage;
    passage.distrust();
    (void)passage.look(counts(0, 0));
    EXPECT_FALSE(passage.look(counts(100, 100)));
    passage.forget();
    (void)passage.look(counts(0, 0));
    EXPECT_FALSE(passage.look(counts(100, 100)));
}

}  // namespace
}  // namespace natra::pods
