// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/other_limiters.hpp"

#include <gtest/gtest.h>

#include "daemon/pods/stock_plugin.hpp"

namespace natra::pods {
namespace {

using datapath::OtherLimiters;

constexpr int host_ifindex = 7;

Pod pod(const std::string& host_device) {
    Pod out{.id = "c1__eth0"};
    out.request.container_id = "c1";
    out.request.network = "cbr0";
    out.kernel.record.host_device = host_device;
    out.kernel.record.host_ifindex = host_device.empty() ? 0 : host_ifindex;
    return out;
}

TEST(OtherLimiters, AreNoneOnAQuietNode) {
    for (const char* device : {"veth1", "cali1", "lxc1", ""}) EXPECT_FALSE(others_on({}, pod(device)).any()) << device;
    const OtherLimiters elsewhere{.token_buckets = {{8, {}}}, .ifbs = {{"ifb0", 9}, {"bwcali000000000", 10}}};
    EXPECT_FALSE(others_on(elsewhere, pod("cali1")).any());
}

TEST(OtherLimiters, OfCalicoAreOnItsDevices) {
    EXPECT_EQ(calico_ifb_name("cali1234"), "bwcali1b5333c00");  // printf cali1234 | sha512sum
    constexpr int ifb = 9;
    const OtherLimiters node{.token_buckets = {{host_ifindex, {.rate_bps = 1}}, {ifb, {.rate_bps = 2}}},
                             .ifbs = {{calico_ifb_name("cali1234"), ifb}}};
    const auto both = others_on(node, pod("cali1234"));
    ASSERT_TRUE(both.ingress && both.egress);
    EXPECT_EQ(both.ingress->who, "Calico's Felix");
    EXPECT_EQ(both.ingress->evidence, "TBF at the root of cali1234");
    EXPECT_TRUE(both.ingress->agent);
    EXPECT_EQ(both.ingress->bucket->rate_bps, 1U);
    EXPECT_EQ(both.egress->bucket->rate_bps, 2U);
    EXPECT_EQ(both.egress->evidence, concat("IFB ", calico_ifb_name("cali1234")));
    EXPECT_FALSE(others_on({.ifbs = node.ifbs}, pod("cali1234")).ingress);
    EXPECT_FALSE(others_on({.token_buckets = node.token_buckets}, pod("cali1234")).egress);
}

TEST(OtherLimiters, OfCiliumAreOnItsDevices) {
    const auto before_1_18 = others_on({.cilium = true}, pod("lxc1"));
    EXPECT_TRUE(before_1_18.egress && !before_1_18.ingress);
    EXPECT_EQ(before_1_18.egress->who, "Cilium's bandwidth manager");
    const auto later = others_on({.cilium = true, .cilium_to_pods = true}, pod("lxc1"));
    EXPECT_TRUE(later.egress && later.ingress && later.ingress->agent);
    EXPECT_FALSE(others_on({.cilium = true, .cilium_to_pods = true}, pod("veth1")).any());
}

TEST(OtherLimiters, OtherTokenBucketsAreNobodysInParticular) {
    const OtherLimiters node{.token_buckets = {{host_ifindex, {}}}, .ifbs = {{stock_ifb_name("cbr0", "c1"), 9}}};
    const auto found = others_on(node, pod("veth1"));
    ASSERT_TRUE(found.ingress && found.egress);
    EXPECT_FALSE(found.ingress->agent);
    EXPECT_EQ(found.egress->who, "the stock bandwidth plugin");
    EXPECT_FALSE(found.egress->agent);
}

TEST(OtherLimiters, OnlyWhatTheAnnotationsSayIsLeftToThem) {
    using limits::Source;
    const OthersOnPod agent{.ingress = OtherLimiter{.who = "x",
                                                    .evidence = "",
                                                    .agent = true,
                                                    .bucket = datapath::TokenBucket{.rate_bps = 1000},
                                                    .passed = true}};
    const limits::Limits asked{.ingress = {1000, 0, Source::runtime}, .egress = {2000, 0, Source::runtime}};
    const limits::Limits left{.ingress = {}, .egress = asked.egress};
    EXPECT_EQ(without_those_of(agent, asked, OtherLimitersPolicy::stand_down), left);
    EXPECT_EQ(without_those_of(agent, asked, OtherLimitersPolicy::report), asked);
    for (const auto source : {Source::conf, Source::annotation, Source::operator_override}) {
        auto own = asked;
        own.ingress.source = source;
        EXPECT_EQ(without_those_of(agent, own, OtherLimitersPolicy::stand_down), own);
    }
    auto stranger = agent;
    stranger.ingress->agent = false;
    EXPECT_EQ(without_those_of(stranger, asked, OtherLimitersPolicy::stand_down), asked);
}

TEST(OtherLimiters, OnlyWhatPassesOneThatIsAtMostAsFastIsLeftToIt) {
    using limits::Source;
    const limits::Limits asked{.ingress = {1000, 0, Source::runtime}, .egress = {2000, 0, Source::runtime}};
    const auto left = [&](std::optional<datapath::TokenBucket> bucket, bool passed) {
        const OthersOnPod others{
            .ingress = OtherLimiter{.who = "x", .evidence = "", .agent = true, .bucket = bucket, .passed = passed}};
        return without_those_of(others, asked, OtherLimitersPolicy::stand_down) != asked;
    };
    EXPECT_TRUE(left({{.rate_bps = 999}}, true));
    EXPECT_TRUE(left({{.rate_bps = 1000}}, true));
    EXPECT_FALSE(left({{.rate_bps = 1001}}, true));
    EXPECT_FALSE(left({{.rate_bps = 1000}}, false));
    EXPECT_FALSE(left({}, true));
}

TEST(OtherLimiters, OfCiliumProveNothing) {
    const auto found = others_on({.cilium = true, .cilium_to_pods = true}, pod("lxc1"));
    EXPECT_FALSE(found.egress->bucket || found.ingress->bucket);
}

TEST(OtherLimiters, PoliciesHaveNames) {
    for (const auto policy : {OtherLimitersPolicy::report, OtherLimitersPolicy::stand_down})
        EXPECT_EQ(other_limiters_policy_from(to_string(policy)), policy);
    EXPECT_EQ(other_limiters_policy_from("stand_down"), std::nullopt);
}

}  // namespace
}  // namespace natra::pods
