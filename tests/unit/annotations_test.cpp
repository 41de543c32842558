// SPDX-License-Identifier: Apache-2.0
#include "daemon/limits/annotations.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace natra::limits {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* in_rate = "natra.io/ingress-rate";
constexpr const char* in_burst = "natra.io/ingress-burst";
constexpr const char* out_rate = "natra.io/egress-rate";
constexpr const char* threshold = "natra.io/heavy-threshold";
constexpr const char* in_standard = "kubernetes.io/ingress-bandwidth";
constexpr const char* out_standard = "kubernetes.io/egress-bandwidth";

constexpr Limits from(Source source) {
    return {.ingress = {.rate_bps = 10'000'000, .burst_bits = 4294967295, .source = source}};
}

TEST(Relevant, OwnAnnotationsAndTheStandardTwo) {
    for (const char* key : {in_rate, in_burst, out_rate, threshold, in_standard, out_standard, "natra.io/ingres-rate"})
        EXPECT_TRUE(is_relevant_annotation(key)) << key;
    for (const char* key :
         {"", "natra.io", "kubernetes.io/ingress", "kubernetes.io/ingress-bandwidth-x", "x/natra.io/"})
        EXPECT_FALSE(is_relevant_annotation(key)) << key;
}

struct Case {
    const char* what;
    Source source;
    Annotations annotations;
    Limit ingress;
    Limit egress;
};

TEST(Precedence, OfSources) {
    const Limit asked_of_conf{10'000'000, 4294967295, Source::conf};
    const Limit asked_of_runtime{10'000'000, 4294967295, Source::runtime};
    const Case cases[] = {
        {"nothing", Source::runtime, {}, asked_of_runtime, {}},
        {"conf beats natra.io", Source::conf, {{in_rate, "5M"}, {in_burst, "1M"}, {out_rate, "5M"}}, asked_of_conf, {}},
        {"conf beats kubernetes.io", Source::conf, {{in_standard, "5M"}, {out_standard, "5M"}}, asked_of_conf, {}},
        {"natra.io beats the runtime, each direction by itself",
         Source::runtime,
         {{in_rate, "5M"}},
         {5'000'000, 0, Source::annotation},
         {}},
        {"and leaves the other direction",
         Source::runtime,
         {{out_rate, "5M"}},
         asked_of_runtime,
         {5'000'000, 0, Source::annotation}},
        {"natra.io lifts a limit", Source::runtime, {{in_rate, "0"}}, {0, 0, Source::annotation}, {}},
        {"a burst of natra.io goes with the runtime's rate",
         Source::runtime,
         {{in_burst, "1M"}},
         {10'000'000, 1'000'000, Source::runtime},
         {}},
        {"the runtime beats kubernetes.io", Source::runtime, {{in_standard, "5M"}}, asked_of_runtime, {}},
        {"kubernetes.io where the runtime has nothing",
         Source::runtime,
         {{out_standard, "5Mi"}},
         asked_of_runtime,
         {5'242'880, 0, Source::annotation}},
        {"natra.io beats kubernetes.io",
         Source::runtime,
         {{out_standard, R"({"rate": "5M", "burst": "2M"})"}, {out_rate, "7M"}},
         asked_of_runtime,
         {7'000'000, 0, Source::annotation}},
        {"the JSON form",
         Source::runtime,
         {{out_standard, R"( {"rate": "5M", "burst": "2M"})"}},
         asked_of_runtime,
         {5'000'000, 2'000'000, Source::annotation}},
        {"its numbers",
         Source::runtime,
         {{out_standard, R"({"rate": 5e6, "burst": 2000000, "unknown": []})"}},
         asked_of_runtime,
         {5'000'000, 2'000'000, Source::annotation}},
    };
    for (const auto& c : cases) {
        SCOPED_TRACE(c.what);
        const auto r = interpret(from(c.source), c.annotations);
        EXPECT_EQ(r.limits.ingress, c.ingress);
        EXPECT_EQ(r.limits.egress, c.egress);
        EXPECT_THAT(r.warnings, IsEmpty());
    }
}

TEST(Threshold, IsOfTheWholePodOrOfADirection) {
    const auto pod = interpret(from(Source::conf), {{threshold, "64Ki"}});
    EXPECT_EQ(pod.limits.ingress.heavy_threshold_bytes, 65536U);
    EXPECT_EQ(pod.limits.egress.heavy_threshold_bytes, 65536U) << "for a limit that an operator sets later";
    EXPECT_FALSE(pod.limits.egress.limited());
    const auto one = interpret({}, {{in_standard, R"({"rate": "5M", "cms": {"heavyHitterThreshold": 20000}})"}});
    EXPECT_EQ(one.limits.ingress.heavy_threshold_bytes, 20000U);
    EXPECT_EQ(one.limits.egress.heavy_threshold_bytes, 0U);
    const auto both = interpret(
        {}, {{in_standard, R"({"rate": "5M", "cms": {"heavyHitterThreshold": 20000}})"}, {threshold, "64Ki"}});
    EXPECT_EQ(both.limits.ingress.heavy_threshold_bytes, 65536U);
}

TEST(Warnings, SketchSizesAreFixed) {
    const auto r = interpret(
        {}, {{in_standard, R"({"rate": "5M", "cms": {"width": 2048, "depth": 5, "heavyHitterThreshold": "20k"}})"}});
    EXPECT_EQ(r.limits.ingress.rate_bps, 5'000'000U);
    EXPECT_EQ(r.limits.ingress.heavy_threshold_bytes, 20'000U);
    EXPECT_THAT(r.warnings, ElementsAre("kubernetes.io/ingress-bandwidth cms: the sketch has 4 rows of 1024 cells; the "
                                        "size asked for has no effect"));
}

TEST(Warnings, WhatIsWrongIsLeftOutAndTheRestKept) {
    const std::pair<Annotations, const char*> cases[] = {
        {{{in_rate, "fast"}}, "natra.io/ingress-rate \"fast\": not a quantity"},
        {{{in_rate, "10"}}, "natra.io/ingress-rate \"10\": 10 is taken as 10 bit/s; did you mean 10M?"},
        {{{in_rate, "50m"}}, "natra.io/ingress-rate \"50m\": 50m is 0.05 bit/s; did you mean 50M?"},
        {{{in_rate, "2500u"}}, "2500u is 0.0025 bit/s; the lowest rate is 1000 bit/s"},
        {{{in_rate, "2P"}}, "is 2000000000000000 bit/s, not within"},
        {{{in_rate, "-5M"}}, "natra.io/ingress-rate \"-5M\": negative"},
        {{{in_burst, "1"}}, "natra.io/ingress-burst \"1\": is 1 bits, not within 8 to 34359738359"},
        {{{threshold, "1k"}}, "natra.io/heavy-threshold \"1k\": is 1000 bytes, not within 1514 to 268435456"},
        {{{threshold, "0"}}, "natra.io/heavy-threshold \"0\": is 0 bytes"},
        {{{"natra.io/ingres-rate", "5M"}}, "\"natra.io/ingres-rate\": is no annotation that natra knows"},
        {{{"natra.io/egress-burst", "5M"}}, "natra.io/egress-burst: a burst without a rate has no effect"},
        {{{out_standard, "{"}}, "kubernetes.io/egress-bandwidth \"{\": is no JSON object"},
        {{{out_standard, R"({"rate": []})"}}, "kubernetes.io/egress-bandwidth rate: expected a quantity"},
        {{{out_standard, R"({"rate": -5})"}}, "kubernetes.io/egress-bandwidth rate \"-5\": negative"},
        {{{out_standard, R"({"cms": 7})"}}, "kubernetes.io/egress-bandwidth cms: expected an object"},
        {{{out_standard, R"({"cms": {"heavyHitterThreshold": true}})"}},
         "kubernetes.io/egress-bandwidth cms heavyHitterThreshold: expected a quantity"},
    };
    for (const auto& [annotations, warning] : cases) {
        const auto r = interpret(from(Source::runtime), annotations);
        EXPECT_THAT(r.warnings, ElementsAre(HasSubstr(warning)));
        EXPECT_EQ(r.limits, from(Source::runtime)) << warning;
    }
    const auto mixed = interpret({}, {{in_rate, "5M"}, {in_burst, "x"}, {out_rate, "y"}});
    EXPECT_EQ(mixed.limits.ingress.rate_bps, 5'000'000U);
    EXPECT_FALSE(mixed.limits.egress.limited());
    EXPECT_EQ(mixed.warnings.size(), 2U);
}

TEST(Warnings, AreBoundedAndPrintable) {
    Annotations many{{in_rate, std::string(100'000, 'x')}, {out_rate, "\x1b[2J\xff\n"}};
    for (int i = 0; i < 1000; ++i) many["natra.io/x" + std::to_string(i)] = "";
    const auto r = interpret({}, many);
    ASSERT_EQ(r.warnings.size(), 17U);
    EXPECT_EQ(r.warnings.back(), "and 986 more");
    const auto other = interpret({}, {{in_rate, std::string(100'000, 'x')}, {out_rate, "\x1b[2J\xff\n"}});
    for (const auto& warning : other.warnings) {
        EXPECT_LT(warning.size(), 300U);
        for (const char c : warning) EXPECT_TRUE(c >= ' ' && c <= '~');
    }
}

}  // namespace
}  // namespace natra::limits
