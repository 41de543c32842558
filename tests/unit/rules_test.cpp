// SPDX-License-Identifier: Apache-2.0
// Which default and which ceiling a pod has, and what becomes of what it asks for.
#include "daemon/limits/rules.hpp"

#include <gtest/gtest.h>

namespace natra::limits {
namespace {

constexpr std::uint64_t M = 1'000'000;

Limit rate(std::uint64_t bps, std::uint64_t burst = 0, Source source = Source::none) {
    return {.rate_bps = bps, .burst_bits = burst, .source = source};
}

const NodeRules rules{
    .defaults = {{.namespaces = {"kube-*"}, .limits = {}},
                 {.namespaces = {"team-a", "team-b"}, .limits = {.ingress = rate(10 * M, 80'000), .egress = {}}},
                 {.namespaces = {}, .limits = {.ingress = rate(5 * M), .egress = rate(6 * M)}}},
    .ceilings = {{.namespaces = {"team-*"}, .limits = {.ingress = rate(20 * M), .egress = rate(4 * M)}}}};

TEST(Pattern, AStarStandsForAnyCharactersAndAQuestionMarkForOne) {
    for (const auto& [pattern, text] : {std::pair("*", ""),
                                        {"*", "shop"},
                                        {"team-*", "team-"},
                                        {"team-*", "team-a-b"},
                                        {"*-dev", "a-dev-dev"},
                                        {"a*b*c", "aXbXbc"},
                                        {"t?", "t1"},
                                        {"", ""},
                                        {"shop", "shop"},
                                        {"**", "x"},
                                        {"*?", "x"}})
        EXPECT_TRUE(matches(pattern, text)) << pattern << " " << text;
    for (const auto& [pattern, text] : {std::pair("", "x"),
                                        {"?", ""},
                                        {"team-*", "team"},
                                        {"*-dev", "a-dev-2"},
                                        {"a*b*c", "acb"},
                                        {"shop", "shops"},
                                        {"shop", "sho"},
                                        {"t?", "t12"}})
        EXPECT_FALSE(matches(pattern, text)) << pattern << " " << text;
}

TEST(Rules, TheFirstThatFitsDecidesAlone) {
    EXPECT_EQ(find_rule(rules.defaults, "kube-system"), Limits());
    EXPECT_EQ(find_rule(rules.defaults, "team-b").ingress.rate_bps, 10 * M);
    EXPECT_FALSE(find_rule(rules.defaults, "team-b").egress.limited());
    EXPECT_EQ(find_rule(rules.defaults, "team-c").egress.rate_bps, 6 * M);
    EXPECT_EQ(find_rule(rules.ceilings, "shop"), Limits());
}

TEST(Rules, OneWithoutNamespacesFitsAPodWithoutOne) {
    EXPECT_EQ(find_rule(rules.defaults, "").ingress.rate_bps, 5 * M);
    EXPECT_EQ(find_rule(rules.ceilings, ""), Limits());
}

TEST(Granted, ADefaultIsForDirectionsWithoutAnyOtherWord) {
    const Limits asked{.ingress = rate(2 * M, 16'000, Source::annotation), .egress = {}};
    const auto out = granted(asked, rules, "shop");
    EXPECT_EQ(out.ingress, asked.ingress);
    EXPECT_EQ(out.egress, rate(6 * M, 0, Source::node_default));
    EXPECT_EQ(granted({}, rules, "team-a").ingress, rate(10 * M, 80'000, Source::node_default));
}

TEST(Granted, ADefaultIsNotForAPodThatAsksNotToBeLimited) {
    const Limits asked{.ingress = rate(0, 0, Source::annotation), .egress = rate(0, 0, Source::conf)};
    EXPECT_EQ(granted(asked, rules, "shop"), asked);
}

TEST(Granted, ACeilingLowersWhatIsAboveItAndTakesItsBurst) {
    for (const auto source : {Source::runtime, Source::annotation, Source::conf}) {
        const Limits asked{.ingress = rate(21 * M, 8'000, source), .egress = rate(4 * M, 8'000, source)};
        const auto out = granted(asked, rules, "team-x");
        EXPECT_EQ(out.ingress, rate(20 * M, 0, Source::ceiling));
        EXPECT_EQ(out.egress, asked.egress);
    }
}

TEST(Granted, ACeilingLimitsAPodWithoutALimitWhateverSaysSo) {
    EXPECT_EQ(granted({}, rules, "team-a").egress, rate(4 * M, 0, Source::ceiling));
    const Limits none{.ingress = rate(0, 0, Source::annotation), .egress = {}};
    EXPECT_EQ(granted(none, rules, "team-a").ingress, rate(20 * M, 0, Source::ceiling));
}

TEST(Granted, ADefaultAboveTheCeilingIsLoweredToIt) {
    EXPECT_EQ(granted({}, rules, "team-c").egress, rate(4 * M, 0, Source::ceiling));
    EXPECT_EQ(granted({}, rules, "team-c").ingress, rate(5 * M, 0, Source::node_default));
}

TEST(Granted, HeavyThresholdsStay) {
    Limits asked{.ingress = {}, .egress = rate(9 * M, 0, Source::runtime)};
    asked.ingress.heavy_threshold_bytes = asked.egress.heavy_threshold_bytes = 64'000;
    const auto out = granted(asked, rules, "team-a");
    EXPECT_EQ(out.ingress.heavy_threshold_bytes, 64'000U);
    EXPECT_EQ(out.egress.heavy_threshold_bytes, 64'000U);
    EXPECT_EQ(out.egress.rate_bps, 4 * M);
}

TEST(Granted, WithoutRulesEverythingIsAsAsked) {
    const Limits asked{.ingress = rate(9 * M, 8'000, Source::runtime), .egress = {}};
    EXPECT_EQ(granted(asked, {}, "team-a"), asked);
}

}  // namespace
}  // namespace natra::limits
