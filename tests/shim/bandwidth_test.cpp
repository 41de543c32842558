// SPDX-License-Identifier: Apache-2.0
#include "daemon/cni/bandwidth.hpp"

#include <gtest/gtest.h>

#include "cni-shim/cni.hpp"
#include "tests/shim/golden.hpp"

namespace natra::shim {
namespace {

using limits::Limit;
using limits::Limits;
using limits::Source;

CniResult<Limits> read(std::string_view text) {
    const auto document = parse_json(text);
    if (!document) throw std::invalid_argument(document.error().what);
    return read_limits(*document);
}

struct Accepted {
    const char* what;
    const char* text;
    Limits limits;
};

const Accepted accepted[] = {
    {"nothing", R"({})", {}},
    {"no bandwidth", R"({"runtimeConfig": {"portMappings": []}})", {}},
    {"static, one direction", R"({"egressRate": 8000, "egressBurst": 80})", {.egress = {8000, 80, Source::conf}}},
    {"static, both",
     R"({"ingressRate": 8, "ingressBurst": 8, "egressRate": 16, "egressBurst": 9})",
     {.ingress = {8, 8, Source::conf}, .egress = {16, 9, Source::conf}}},
    {"upstream's fixtures write bandWidth",
     R"({"runtimeConfig": {"bandWidth": {"ingressRate": 8, "ingressBurst": 8, "egressRate": 16, "egressBurst": 9}}})",
     {.ingress = {8, 8, Source::runtime}, .egress = {16, 9, Source::runtime}}},
    {"any case",
     R"({"RUNTIMECONFIG": {"BandWidth": {"INGRESSRATE": 8, "ingressburst": 16}}})",
     {.ingress = {8, 16, Source::runtime}}},
    {"static wins",
     R"({"ingressRate": 8, "ingressBurst": 8, "runtimeConfig": {"bandwidth": {"egressRate": 16, "egressBurst": 9}}})",
     {.ingress = {8, 8, Source::conf}}},
    {"a static zero wins, too: its presence decides",
     R"({"ingressRate": 0, "runtimeConfig": {"bandwidth": {"egressRate": 16, "egressBurst": 9}}})",
     {.ingress = {0, 0, Source::conf}}},
    {"and so does a static null",
     R"({"egressBurst": null, "runtimeConfig": {"bandwidth": {"egressRate": 16, "egressBurst": 9}}})",
     {.egress = {0, 0, Source::conf}}},
    {"the runtime's zero is no word",
     R"({"runtimeConfig": {"bandwidth": {"ingressRate": 8, "ingressBurst": 8, "egressRate": 0, "egressBurst": 0}}})",
     {.ingress = {8, 8, Source::runtime}}},
    {"the runtime's null is no bandwidth", R"({"runtimeConfig": {"bandwidth": null}})", {}},
    {"a null runtimeConfig, too", R"({"runtimeConfig": null})", {}},
    {"null is 0", R"({"ingressRate": null, "ingressBurst": null})", {.ingress = {0, 0, Source::conf}}},
    {"the last of several spellings counts",
     R"({"ingressRate": 5, "IngressRate": 8, "ingressBurst": 8})",
     {.ingress = {8, 8, Source::conf}}},
    {"the last of several equal keys counts",
     R"({"ingressRate": 5, "ingressBurst": 8, "ingressRate": 8})",
     {.ingress = {8, 8, Source::conf}}},
    {"two spellings of one object are one object",
     R"({"runtimeConfig": {"bandwidth": {"ingressRate": 8}, "Bandwidth": {"ingressBurst": 9}}})",
     {.ingress = {8, 9, Source::runtime}}},
    {"the largest numbers",
     R"({"ingressRate": 18446744073709551615, "ingressBurst": 34359738359})",
     {.ingress = {UINT64_MAX, 34359738359, Source::conf}}},
    {"nested elsewhere they mean nothing", R"({"args": {"ingressRate": -1}})", {}},
    {"other letters are other keys", R"({"ingre\u017f\u017fRate": 8, "ingressRate2": -1})", {}},
};

TEST(ReadLimits, Accepts) {
    for (const auto& c : accepted) {
        SCOPED_TRACE(c.what);
        const auto r = read(c.text);
        ASSERT_TRUE(r) << r.error().message;
        EXPECT_EQ(*r, c.limits);
    }
}

TEST(ReadLimits, AcceptsWhatRuntimesSend) {
    const auto containerd = read(golden::containerd);
    ASSERT_TRUE(containerd) << containerd.error().message;
    EXPECT_EQ(*containerd, (Limits{.ingress = {10'000'000, 4294967295, Source::runtime}}));
    const auto crio = read(golden::crio);
    ASSERT_TRUE(crio) << crio.error().message;
    EXPECT_EQ(*crio, (Limits{.egress = {5'000'000, 34359738359, Source::runtime}}));
}

struct Rejected {
    const char* text;
    const char* message;
    const char* details;
};

constexpr const char* no_burst = "if rate is set, burst must also be set";
constexpr const char* no_rate = "if burst is set, rate must also be set";

const Rejected rejected[] = {
    {R"({"ingressRate": 0, "ingressBurst": 123})", no_rate, "ingressRate is 0, ingressBurst is 123"},
    {R"({"egressBurst": 1})", no_rate, "egressRate is 0, egressBurst is 1"},
    {R"({"ingressRate": 1})", no_burst, "ingressRate is 1, ingressBurst is 0"},
    {R"({"runtimeConfig": {"bandwidth": {"EgressRate": 7}}})", no_burst, "egressRate is 7, egressBurst is 0"},
    {R"({"ingressRate": 5000, "ingressBurst": 34359738368})", "burst cannot be more than 4GB",
     "ingressRate is 5000, ingressBurst is 34359738368"},
    {R"({"ingressRate": 5000, "ingressBurst": 34359738360})", "burst cannot be more than 4GB",
     "ingressRate is 5000, ingressBurst is 34359738360"},
    // A good runtimeConfig does not help a bad static key.
    {R"({"ingressBurst": 123, "runtimeConfig": {"bandwidth": {"ingressRate": 8, "ingressBurst": 8}}})", no_rate,
     "ingressRate is 0, ingressBurst is 123"},
    {R"({"ingressRate": -1})",
     "failed to parse network configuration: ingressRate: expected a non-negative integer below 2^64, got -1", ""},
    {R"({"ingressRate": -0})",
     "failed to parse network configuration: ingressRate: expected a non-negative integer below 2^64, got 0", ""},
    {R"({"EgressBurst": 1.5})",
     "failed to parse network configuration: EgressBurst: expected a non-negative integer below 2^64, got 1.5", ""},
    {R"({"ingressRate": 1e6})",
     "failed to parse network configuration: ingressRate: expected a non-negative integer below 2^64, got 1000000.0",
     ""},
    {R"({"ingressRate": 18446744073709551616})",
     "failed to parse network configuration: ingressRate: expected a non-negative integer below 2^64, "
     "got 1.8446744073709552e+19",
     ""},
    {R"({"ingressRate": "10M"})",
     "failed to parse network configuration: ingressRate: expected a non-negative integer below 2^64, got \"10M\"", ""},
    {R"({"ingressRate": true})",
     "failed to parse network configuration: ingressRate: expected a non-negative integer below 2^64, got true", ""},
    {R"({"ingressRate": [1]})",
     "failed to parse network configuration: ingressRate: expected a non-negative integer below 2^64, got an array",
     ""},
    {R"({"runtimeConfig": {"bandwidth": {"egressBurst": {}}}})",
     "failed to parse network configuration: runtimeConfig.bandwidth.egressBurst: expected a non-negative integer "
     "below 2^64, got an object",
     ""},
    {R"({"runtimeConfig": []})",
     "failed to parse network configuration: runtimeConfig: expected an object, got an array", ""},
    {R"({"runtimeConfig": {"bandwidth": 5}})",
     "failed to parse network configuration: runtimeConfig.bandwidth: expected an object, got 5", ""},
    // Wrong even where the static keys win, as for a Go decoder.
    {R"({"ingressRate": 8, "ingressBurst": 8, "runtimeConfig": {"bandwidth": {"ingressRate": "x"}}})",
     "failed to parse network configuration: runtimeConfig.bandwidth.ingressRate: expected a non-negative integer "
     "below 2^64, got \"x\"",
     ""},
};

TEST(ReadLimits, RejectsNamingKeyAndValue) {
    for (const auto& c : rejected) {
        SCOPED_TRACE(c.text);
        const auto r = read(c.text);
        ASSERT_FALSE(r);
        EXPECT_EQ(r.error().code, CniCode::internal);
        EXPECT_EQ(r.error().message, c.message);
        EXPECT_EQ(r.error().details, c.details);
    }
}

TEST(ReadLimits, QuotesNoMoreThanALineOfAWrongValue) {
    const auto r = read(R"({"ingressRate": ")" + std::string(100'000, 'x') + R"("})");
    ASSERT_FALSE(r);
    EXPECT_LT(r.error().message.size(), 300U);
}

}  // namespace
}  // namespace natra::shim
