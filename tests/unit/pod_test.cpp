// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/pod.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/limits/rules.hpp"

namespace natra::pods {
namespace {

using testing::HasSubstr;

constexpr BurstSettings bursts;

AttachRequest request() {
    AttachRequest out;
    out.container_id = "dummy";
    out.interface_name = "eth0";
    out.limits.ingress = {.rate_bps = 10'000'000, .burst_bits = 4294967295, .source = limits::Source::runtime};
    return out;
}

TEST(Validate, TakesALowRateFromTheRuntimeAndNotFromAnOperator) {
    auto slow = request();
    slow.limits.ingress.rate_bps = 8;
    EXPECT_TRUE(validate(slow));
    EXPECT_TRUE(validate(Override{.egress = {.rate_bps = 1'000}}, slow.limits));
    EXPECT_TRUE(validate(Override{.egress = {.rate_bps = 0}}, slow.limits));
    const auto r = validate(Override{.egress = {.rate_bps = 50}}, slow.limits);
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().code, Error::Code::invalid_argument);
    EXPECT_EQ(r.error().what, "EgressRate: 50 is taken as 50 bit/s; did you mean 50M?");
}

TEST(Validate, TakesAPlainRequest) { EXPECT_TRUE(validate(request())); }

TEST(Validate, NamesFieldAndValue) {
    const auto refused = [](auto change) {
        auto bad = request();
        change(bad);
        const auto r = validate(bad);
        EXPECT_FALSE(r);
        if (r) return std::string();
        EXPECT_EQ(r.error().code, Error::Code::invalid_argument);
        return r.error().what;
    };
    EXPECT_THAT(refused([](auto& r) { r.container_id = "a/b"; }), HasSubstr("ContainerId: \"a/b\""));
    EXPECT_THAT(refused([](auto& r) { r.interface_name = ".."; }), HasSubstr("InterfaceName: \"..\""));
    EXPECT_THAT(refused([](auto& r) { r.limits.ingress.rate_bps = 1'000'000'000'000'001; }),
                HasSubstr("IngressRate: 1000000000000001"));
    EXPECT_THAT(refused([](auto& r) { r.limits.egress.burst_bits = 5; }), HasSubstr("EgressBurst: 5"));
    EXPECT_THAT(refused([](auto& r) { r.limits.ingress.burst_bits = limits::burst_limit_bits; }),
                HasSubstr("burst cannot be more than 4GB"));
}

TEST(Validate, TakesARequestWithoutLimits) {
    auto unlimited = request();
    unlimited.limits = {};
    EXPECT_TRUE(validate(unlimited));
}

TEST(EffectiveLimits, TreatsARuntimesBurstAsNotSet) {
    const auto limits = effective_limits(request().limits, request(), {}, bursts);
    EXPECT_EQ(limits.ingress.rate_bps, 10'000'000U);
    EXPECT_EQ(limits.ingress.burst_bits, 0U);
    EXPECT_EQ(limits.ingress.source, limits::Source::runtime);
    EXPECT_FALSE(limits.egress.limited());
}

TEST(EffectiveLimits, OverrideWinsFieldByField) {
    const Override changes{.ingress = {.rate_bps = 5'000'000},
                           .egress = {.rate_bps = 1'000'000, .burst_bits = 100'000}};
    const auto limits = effective_limits(request().limits, request(), changes, bursts);
    EXPECT_EQ(limits.ingress.rate_bps, 5'000'000U);
    EXPECT_EQ(limits.ingress.source, limits::Source::operator_override);
    EXPECT_EQ(limits.egress.rate_bps, 1'000'000U);
    EXPECT_EQ(limits.egress.burst_bits, 100'000U);
}

TEST(EffectiveLimits, AnOverrideIsAboveACeiling) {
    const limits::NodeRules rules{.defaults = {},
                                  .ceilings = {{.namespaces = {}, .limits = {{.rate_bps = 1'000'000}, {}}}}};
    const auto granted = limits::granted(request().limits, rules, "shop");
    EXPECT_EQ(effective_limits(granted, request(), {}, bursts).ingress.source, limits::Source::ceiling);
    EXPECT_EQ(effective_limits(granted, request(), {}, bursts).ingress.rate_bps, 1'000'000U);
    const Override changes{.ingress = {.rate_bps = 90'000'000}, .egress = {}};
    EXPECT_EQ(effective_limits(granted, request(), changes, bursts).ingress.rate_bps, 90'000'000U);
    const Override lifted{.ingress = {.rate_bps = 0}, .egress = {}};
    EXPECT_FALSE(effective_limits(granted, request(), lifted, bursts).ingress.limited());
}

TEST(WhyUnlimited, NamesWhatSaysSo) {
    EXPECT_EQ(why_unlimited({}), "no limit: no annotation");
    EXPECT_EQ(why_unlimited({.source = limits::Source::annotation}), "no limit: the pod's annotation says 0");
    EXPECT_EQ(why_unlimited({.source = limits::Source::operator_override}), "no limit: an operator has lifted it");
    EXPECT_EQ(why_unlimited({.rate_bps = 8}), "");
}

TEST(EffectiveLimits, RateZeroLifts) {
    const auto limits =
        effective_limits(request().limits, request(), {.ingress = {.rate_bps = 0}, .egress = {}}, bursts);
    EXPECT_FALSE(limits.ingress.limited());
    EXPECT_EQ(limits.ingress.burst_bits, 0U);
    EXPECT_FALSE(to_rates(limits).ingress);
}

TEST(ValidateOverride, RefusesABurstWithoutARate) {
    const auto r = validate(Override{.ingress = {}, .egress = {.rate_bps = {}, .burst_bits = 8}}, request().limits);
    ASSERT_FALSE(r);
    EXPECT_THAT(r.error().what, HasSubstr("EgressBurst: 8"));
    EXPECT_TRUE(validate(Override{.ingress = {.rate_bps = {}, .burst_bits = 8}, .egress = {}}, request().limits));
}

}  // namespace
}  // namespace natra::pods
