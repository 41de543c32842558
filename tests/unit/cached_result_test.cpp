// SPDX-License-Identifier: Apache-2.0
#include "daemon/cni/cached_result.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/cni/base64.hpp"

namespace natra::cni {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

TEST(Base64, IsReadAsGoWritesIt) {
    const std::pair<const char*, const char*> table[] = {{"", ""},
                                                         {"Zg==", "f"},
                                                         {"Zm8=", "fo"},
                                                         {"Zm9v", "foo"},
                                                         {"Zm9vYg==", "foob"},
                                                         {"Zm9vYmE=", "fooba"},
                                                         {"Zm9vYmFy", "foobar"},
                                                         {"+/+/", "\xfb\xff\xbf"}};
    for (const auto& [text, bytes] : table) EXPECT_EQ(decode_base64(text), bytes) << text;
    for (const char* text : {"Z", "Zg", "Zg=", "Zg===", "Z===", "====", "Zm9v\n", "Zm-v", "Zh==", "Zm9=", "Zg==Zg=="})
        EXPECT_EQ(decode_base64(text), std::nullopt) << text;
}

std::string encode(std::string_view text) {
    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string out;
    for (std::size_t at = 0; at < text.size(); at += 3) {
        std::uint32_t bits = 0;
        for (std::size_t i = 0; i < 3; ++i)
            bits = bits << 8 | (at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U);
        for (std::size_t i = 0; i < 4; ++i) out += at + i <= text.size() ? alphabet[bits >> (18 - 6 * i) & 63] : '=';
    }
    return out;
}

Json pair(const char* key, const char* value) { return Json::array({key, value}); }

// As libcni writes it for containerd.
Json entry(const char* plugins) {
    const auto config = concat(R"({"cniVersion": "1.0.0", "name": "cbr0", "plugins": )", plugins, "}");
    return {{"kind", "cniCacheV1"},
            {"containerId", "c1"},
            {"config", encode(config)},
            {"ifName", "eth0"},
            {"networkName", "cbr0"},
            {"cniArgs", Json::array({pair("IgnoreUnknown", "1"), pair("K8S_POD_NAMESPACE", "shop"),
                                     pair("K8S_POD_NAME", "web-0"), pair("K8S_POD_UID", "0a")})},
            {"capabilityArgs",
             {{"bandwidth",
               {{"IngressRate", 20000000}, {"IngressBurst", 4294967295}, {"EgressRate", 0}, {"EgressBurst", 0}}},
              {"io.kubernetes.cri.pod-annotations", {{"natra.io/egress-rate", "5M"}, {"app", "web"}}}}},
            {"result",
             {{"cniVersion", "1.0.0"},
              {"interfaces",
               {{{"name", "veth1"}, {"mac", "aa:bb:cc:00:00:01"}},
                {{"name", "eth0"}, {"mac", "aa:bb:cc:00:00:02"}, {"sandbox", "/run/netns/cni-1"}}}}}}};
}

constexpr const char* stock_chain = R"([{"type": "ptp"}, {"type": "bandwidth", "capabilities": {"bandwidth": true}}])";
constexpr const char* natra_chain = R"([{"type": "ptp"}, {"type": "bandwidth", "capabilities": {"bandwidth": true}},
    {"type": "natra", "capabilities": {"bandwidth": true, "io.kubernetes.cri.pod-annotations": true}}])";

CachedResult cached(const Json& entry) {
    auto r = read_cached_result(entry.dump());
    if (!r) throw std::invalid_argument(r.error().what);
    return *std::move(r);
}

RunningPod pod_of(const Json& entry) {
    auto r = running_pod(cached(entry));
    if (!r) throw std::invalid_argument(r.error().what);
    return *std::move(r);
}

TEST(CachedResult, TellsWhoAndWhere) {
    const auto pod = pod_of(entry(stock_chain));
    EXPECT_EQ(pod.request.container_id, "c1");
    EXPECT_EQ(pod.request.interface, "eth0");
    EXPECT_EQ(pod.request.network, "cbr0");
    EXPECT_EQ(pod.request.netns_path, "/run/netns/cni-1");
    EXPECT_EQ(pod.request.pod_namespace, "shop");
    EXPECT_EQ(pod.request.pod_name, "web-0");
    EXPECT_EQ(pod.request.pod_uid, "0a");
    EXPECT_EQ(pod.mac, "aa:bb:cc:00:00:02");
    EXPECT_THAT(pod.request.host_interfaces, ElementsAre("veth1"));
}

TEST(CachedResult, TheEntrysOwnNamespaceComesFirst) {
    auto with_netns = entry(stock_chain);
    with_netns["netns"] = "/run/netns/other";
    EXPECT_EQ(cached(with_netns).identity.netns_path, "/run/netns/other");
    auto without = entry(stock_chain);
    without["result"].erase("interfaces");
    EXPECT_EQ(cached(without).identity.netns_path, "");
    EXPECT_EQ(cached(without).mac, "");
    without.erase("result");
    EXPECT_EQ(cached(without).identity.netns_path, "");
}

TEST(CachedResult, LimitsAreThoseThatThePluginTook) {
    const auto stock = pod_of(entry(stock_chain));
    EXPECT_EQ(stock.by, LimitedBy::stock);
    EXPECT_EQ(stock.request.limits,
              (limits::Limits{.ingress = {20'000'000, 4'294'967'295, limits::Source::runtime}, .egress = {}}));
    EXPECT_THAT(stock.request.annotations, IsEmpty()) << "it had not declared that capability";
    const auto natra = pod_of(entry(natra_chain));
    EXPECT_EQ(natra.by, LimitedBy::natra);
    EXPECT_EQ(natra.request.annotations, (limits::Annotations{{"natra.io/egress-rate", "5M"}}));
    const auto nobody = pod_of(entry(R"([{"type": "ptp"}, {"type": "portmap"}])"));
    EXPECT_EQ(nobody.by, LimitedBy::nobody);
    EXPECT_EQ(nobody.request.limits, natra.request.limits);
    EXPECT_EQ(nobody.request.annotations, natra.request.annotations);
}

TEST(CachedResult, ACapabilityCountsOnlyIfItIsTrue) {
    for (const char* capabilities : {R"({"bandwidth": false})", R"({"bandwidth": 1})", "{}", "null", "[]"}) {
        const auto chain = concat(R"([{"type": "bandwidth", "capabilities": )", capabilities, "}]");
        EXPECT_FALSE(pod_of(entry(chain.c_str())).limited()) << capabilities;
    }
}

TEST(CachedResult, StaticKeysAndPolicyAreThePlugins) {
    const auto pod = pod_of(entry(R"([{"type": "natra", "capabilities": {"bandwidth": true}, "egressRate": 8000,
        "egressBurst": 80, "burstPolicy": "runtime", "shaper": "htb", "unshapedSubnets": ["10.0.0.0/8"]}])"));
    EXPECT_EQ(pod.request.limits, (limits::Limits{.ingress = {}, .egress = {8000, 80, limits::Source::conf}}));
    EXPECT_TRUE(pod.request.runtime_bursts);
    EXPECT_EQ(pod.request.shaper, "htb");
    EXPECT_EQ(pod.request.subnets.unshaped.size(), 1U);
}

TEST(CachedResult, ASinglePluginIsAChainOfOne) {
    auto single = entry("[]");
    single["config"] = encode(R"({"name": "n", "type": "bandwidth", "ingressRate": 8000, "ingressBurst": 80})");
    EXPECT_EQ(pod_of(single).request.limits.ingress.rate_bps, 8000U);
}

TEST(CachedResult, WrongLimitsAreAnErrorThatNamesThem) {
    const auto r = running_pod(cached(entry(R"([{"type": "bandwidth", "ingressRate": -1}])")));
    ASSERT_FALSE(r);
    EXPECT_THAT(r.error().what, HasSubstr("ingressRate: expected a non-negative integer below 2^64, got -1"));
}

TEST(CachedResult, WhatIsNoEntryIsSaid) {
    const auto error_of = [](const Json& value) {
        const auto r = read_cached_result(value.dump());
        return r ? std::string("no error") : r.error().what;
    };
    EXPECT_THAT(error_of(Json::array()), StartsWith("the entry: expected an object"));
    EXPECT_EQ(error_of({{"cniVersion", "0.3.1"}}), "kind: expected cniCacheV1, got nothing");
    for (const char* field : {"containerId", "ifName", "networkName", "config"}) {
        auto without = entry(stock_chain);
        without.erase(field);
        EXPECT_EQ(error_of(without), concat(field, ": expected a text, got nothing"));
        auto number = entry(stock_chain);
        number[field] = 7;
        EXPECT_EQ(error_of(number), concat(field, ": expected a text, got 7"));
        auto nul = entry(stock_chain);
        nul[field] = std::string("a\0b", 3);
        EXPECT_THAT(error_of(nul), StartsWith(concat(field, ": expected a text without NUL")));
    }
    auto config = entry(stock_chain);
    config["config"] = "%";
    EXPECT_EQ(error_of(config), "config: not in base64");
    config["config"] = encode("{");
    EXPECT_THAT(error_of(config), StartsWith("config: parse error"));
    config["config"] = encode(R"({"plugins": 7})");
    EXPECT_EQ(error_of(config), "config.plugins: expected an array, got 7");
    config["config"] = encode(R"({"plugins": ["ptp"]})");
    EXPECT_EQ(error_of(config), "config.plugins: expected objects, got \"ptp\"");
    EXPECT_FALSE(read_cached_result(""));
    EXPECT_FALSE(read_cached_result(std::string(max_json_bytes + 1, ' ')));
}

TEST(CachedResult, OddArgumentsAreLeftOut) {
    auto odd = entry(stock_chain);
    odd["cniArgs"] = Json::array({"x", Json::array({"K8S_POD_NAME"}), Json::array({"K8S_POD_NAME", 7}),
                                  Json::array({"K8S_POD_NAMESPACE", "shop"})});
    EXPECT_EQ(cached(odd).identity.pod_name, "");
    EXPECT_EQ(cached(odd).identity.pod_namespace, "shop");
    odd["cniArgs"] = "K8S_POD_NAME=x";
    odd["capabilityArgs"] = "bandwidth";
    EXPECT_FALSE(pod_of(odd).limited());
}

// libcni reads the configuration's numbers as float64 and prints them anew; the runtime's own go by as they are.
TEST(RunningPodOfCache, StaticLimitsAreWhatLibcniWouldSend) {
    const std::pair<const char*, std::uint64_t> table[] = {
        {"2e7", 20000000}, {"20000000.0", 20000000}, {"20000000", 20000000}, {"9007199254740993", 9007199254740992}};
    for (const auto& [text, rate] : table) {
        const auto chain =
            concat(R"([{"type": "ptp"}, {"type": "bandwidth", "ingressBurst": 8e5, "ingressRate": )", text, "}]");
        const auto limit = pod_of(entry(chain.c_str())).request.limits.ingress;
        EXPECT_EQ(limit.rate_bps, rate) << text;
        EXPECT_EQ(limit.burst_bits, 800000U) << text;
    }
    for (const char* const text : {"1.5", "-1", "-0.0", "1e20", "\"1\""}) {
        const auto chain = concat(R"([{"type": "bandwidth", "ingressBurst": 8e5, "ingressRate": )", text, "}]");
        const auto r = running_pod(cached(entry(chain.c_str())));
        ASSERT_FALSE(r) << text;
        EXPECT_THAT(r.error().what, HasSubstr("ingressRate: expected a non-negative integer below 2^64")) << text;
    }
}

TEST(RunningPodOfCache, TheRuntimesOwnNumbersStayExact) {
    auto with = entry(stock_chain);
    with["capabilityArgs"]["bandwidth"]["IngressRate"] = 9007199254740993;
    EXPECT_EQ(pod_of(with).request.limits.ingress.rate_bps, 9007199254740993U);
}

}  // namespace
}  // namespace natra::cni
