// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/state_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace natra::pods {
namespace {

using testing::HasSubstr;

Pod sample() {
    Pod pod;
    pod.attached_at_usec = 1234567;
    pod.tamper_events = 3;
    pod.request.container_id = "c1";
    pod.request.interface_name = "eth0";
    pod.request.network = "cbr0";
    pod.request.netns_path = "/var/run/netns/cni-1";
    pod.request.pod_namespace = "shop";
    pod.request.pod_name = "web-0";
    pod.request.limits.ingress = {.rate_bps = 10'000'000, .burst_bits = 7, .source = limits::Source::conf};
    pod.request.limits.ingress.heavy_threshold_bytes = 65536;
    pod.request.warnings = {"natra.io/egress-rate \"fast\": not a quantity"};
    pod.request.annotated = true;
    pod.request.subnets = *limits::parse_subnet_rules({}, {"10.0.0.0/8", "fd00::/8"});
    pod.changes.egress.rate_bps = 5;
    pod.changes.pins.edt_pacing = datapath::EdtPacing::off;
    pod.changes.by = "uid 1000 over D-Bus";
    pod.changes.at_usec = 1'700'000'000'000'001;
    pod.request.pins = {.attach_mode = datapath::AttachMode::tcx, .shaper = datapath::Shaper::htb};
    pod.kernel.record.wish = {.attach_mode = datapath::AttachMode::tcx,
                              .avoid_edt = true,
                              .attach_mode_by = "the pod's configuration",
                              .shaper_by = "an operator"};
    auto& record = pod.kernel.record;
    record.netns_path = pod.request.netns_path;
    record.netns = {.dev = 4, .ino = 4026532000};
    record.netns_cookie = 4711;
    record.pod_kind = "veth";
    record.pod_link_header = false;
    record.pod_device = "eth0";
    record.pod_ifindex = 2;
    record.host_device = "veth1";
    record.host_ifindex = 17;
    record.stock_root = true;
    record.past_host_side = true;
    record.egress = datapath::ShapingRecord{
        .rate = {.rate_bps = 5, .burst_bits = 0},
        .shaper = datapath::Shaper::htb,
        .pod_side = true,
        .hook = {.kind = datapath::HookKind::clsact, .made_clsact = true, .priority = 1, .handle = 3, .behind = true},
        .reason = {.shaper = "htb: because; of this", .hook = "clsact: because"},
        .backstop = true};
    return pod;
}

TEST(StateFile, ReadsBackWhatItWrote) {
    const auto pod = sample();
    const auto back = pod_from_json(to_json(pod));
    ASSERT_TRUE(back) << back.error().what;
    EXPECT_EQ(to_json(*back), to_json(pod));
    EXPECT_EQ(back->request.limits, pod.request.limits);
    EXPECT_EQ(back->request.warnings, pod.request.warnings);
    EXPECT_TRUE(back->request.annotated);
    EXPECT_EQ(back->request.subnets, pod.request.subnets);
    EXPECT_EQ(back->kernel.record.subnets.mode, static_cast<unsigned>(NATRA_SUBNETS_UNSHAPED));
    EXPECT_EQ(back->changes, pod.changes);
    EXPECT_EQ(back->request.pins, pod.request.pins);
    EXPECT_EQ(back->kernel.record.wish, pod.kernel.record.wish);
    EXPECT_EQ(back->kernel.record.netns, pod.kernel.record.netns);
    EXPECT_EQ(back->kernel.record.netns_cookie, 4711U);
    EXPECT_EQ(back->kernel.record.pod_kind, "veth");
    EXPECT_FALSE(back->kernel.record.pod_link_header);
    EXPECT_TRUE(back->kernel.record.stock_root);
    EXPECT_TRUE(back->kernel.record.past_host_side);
    ASSERT_TRUE(back->kernel.record.egress);
    EXPECT_FALSE(back->kernel.record.ingress);
    EXPECT_EQ(back->kernel.record.egress->hook.handle, 3U);
    EXPECT_EQ(back->kernel.record.egress->shaper, datapath::Shaper::htb);
    EXPECT_TRUE(back->kernel.record.egress->backstop);
    EXPECT_TRUE(back->kernel.record.egress->hook.behind);
    EXPECT_EQ(back->tamper_events, 3U);
}

TEST(StateFile, ReadsWhatKnewNothingOfTampering) {
    auto record = nlohmann::json::parse(to_json(sample()));
    std::size_t erased = 0;
    const std::function<void(nlohmann::json&)> erase_in = [&](nlohmann::json& node) {
        if (node.is_object())
            for (const auto* const key : {"tamper_events", "behind", "backstop", "past_host_side"})
                erased += node.erase(key);
        for (auto& child : node)
            if (child.is_structured()) erase_in(child);
    };
    erase_in(record);
    EXPECT_GE(erased, 4U);
    const auto back = pod_from_json(record.dump());
    ASSERT_TRUE(back) << back.error().what;
    EXPECT_FALSE(back->kernel.record.egress->backstop);
    EXPECT_FALSE(back->kernel.record.past_host_side);
    EXPECT_EQ(back->tamper_events, 0U);
}

// Of a natrad that knew veth pairs only.
TEST(StateFile, ReadsRecordsWithoutKindAndCookie) {
    auto old = nlohmann::json::parse(to_json(sample()));
    for (const char* field : {"netns_cookie", "pod_kind", "pod_link_header"}) ASSERT_EQ(old["kernel"].erase(field), 1U);
    const auto back = pod_from_json(old.dump());
    ASSERT_TRUE(back) << back.error().what;
    EXPECT_EQ(back->kernel.record.netns_cookie, 0U);
    EXPECT_EQ(back->kernel.record.pod_kind, "");
    EXPECT_TRUE(back->kernel.record.pod_link_header);
    EXPECT_TRUE(back->kernel.record.has_host_side());
}

// Of a natrad that had the shaper's and the hook's reason in one text.
TEST(StateFile, ReadsAReasonInOneText) {
    auto old = nlohmann::json::parse(to_json(sample()));
    auto& egress = old["kernel"]["egress"];
    egress["reason"] = "htb: because; of this; clsact: because";
    ASSERT_EQ(egress.erase("hook_reason"), 1U);
    const auto back = pod_from_json(old.dump());
    ASSERT_TRUE(back) << back.error().what;
    EXPECT_EQ(back->kernel.record.egress->reason.text(), "htb: because; of this; clsact: because");
}

TEST(StateFile, NamesWhatIsWrong) {
    const auto error = [](std::string_view text) {
        const auto r = pod_from_json(text);
        EXPECT_FALSE(r) << text;
        return r ? std::string() : r.error().what;
    };
    EXPECT_THAT(error(R"({"version": 99})"), HasSubstr("version: 99 is not 1"));
    EXPECT_THAT(error(R"({"version": 1})"), HasSubstr("attached_at_usec"));
    EXPECT_THAT(error("{"), HasSubstr("parse error"));
    EXPECT_THAT(error(""), HasSubstr("end of JSON input"));
}

// What a test puts in the place of a field, and the field.
struct Wrong {
    const char* pointer;
    const char* value;
    const char* error;
};
class WrongField : public ::testing::TestWithParam<Wrong> {};
constexpr Wrong wrong_fields[] = {
    {"/request/ingress/rate_bps", "-1", "request.ingress.rate_bps: -1 is not an integer from 0 to 1000000000000000"},
    {"/request/ingress/rate_bps", "1e30", "request.ingress.rate_bps: 1e+30 is not"},
    {"/request/ingress/rate_bps", "1.9", "request.ingress.rate_bps: 1.9 is not"},
    {"/request/ingress/rate_bps", "9223372036854775808", "request.ingress.rate_bps: 9223372036854775808 is not"},
    {"/request/ingress/burst_bits", "34359738360", "request.ingress.burst_bits: 34359738360 is not"},
    {"/override/egress/rate_bps", "-1", "override.egress.rate_bps: -1 is not"},
    {"/kernel/egress/rate_bps", "0", "kernel.egress.rate_bps: 0 is not an integer from 1"},
    {"/kernel/egress/handle", "4294967296", "kernel.egress.handle: 4294967296 is not"},
    {"/kernel/pod_ifindex", "4294967298", "kernel.pod_ifindex: 4294967298 is not"},
    {"/kernel/pod_ifindex", "\"2\"", "kernel.pod_ifindex: \"2\" is not"},
    {"/kernel/egress/pod_side", "1", "kernel.egress.pod_side: 1 is not true or false"},
    {"/kernel/egress/shaper", "\"fq\"", "kernel.egress.shaper: \"fq\" is not a shaper"},
    {"/kernel/netns_path", "null", "kernel.netns_path: null is not a string"},
    {"/kernel", "[]", "kernel: an array is not an object"},
    {"/request/warnings", "[1]", "request.warnings: an array is not a list of strings"},
};
INSTANTIATE_TEST_SUITE_P(StateFile, WrongField, ::testing::ValuesIn(wrong_fields));

TEST_P(WrongField, IsNamedWithItsValue) {
    auto object = nlohmann::json::parse(to_json(sample()));
    object[nlohmann::json::json_pointer(GetParam().pointer)] = nlohmann::json::parse(GetParam().value);
    const auto r = pod_from_json(object.dump());
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().code, Error::Code::invalid_argument);
    EXPECT_THAT(r.error().what, HasSubstr(GetParam().error));
}

// Printing a value recurses, and an error prints the value.
TEST(StateFile, RefusesDeepNesting) {
    constexpr std::size_t depth = 100'000;
    const auto deep = std::string(depth, '[') + std::string(depth, ']');
    for (const auto& text : {R"({"version": )" + deep + "}", deep}) {
        const auto r = pod_from_json(text);
        ASSERT_FALSE(r);
        EXPECT_THAT(r.error().what, HasSubstr("nested deeper than"));
        EXPECT_FALSE(request_from_json(text));
    }
}

TEST(StateFile, SurvivesNamesThatAreNotUtf8) {
    auto pod = sample();
    pod.request.pod_name = "bad\xff";
    EXPECT_TRUE(pod_from_json(to_json(pod)));
}

// A natrad that is upgraded finds what an older one wrote.
TEST(StateFile, TakesOneWithoutTheFieldsThatCameLater) {
    auto object = nlohmann::json::parse(to_json(sample()));
    for (const char* key : {"warnings", "annotated", "shaped_subnets", "unshaped_subnets"})
        object["request"].erase(key);
    for (const char* key : {"ingress", "egress"}) object["request"][key].erase("heavy_threshold_bytes");
    object["kernel"]["egress"].erase("heavy_threshold_bytes");
    const auto back = pod_from_json(object.dump());
    ASSERT_TRUE(back) << back.error().what;
    EXPECT_EQ(back->request.limits.ingress.heavy_threshold_bytes, 0U);
    EXPECT_EQ(back->request.subnets, limits::SubnetRules{});
    EXPECT_EQ(back->kernel.record.subnets.mode, static_cast<unsigned>(NATRA_SUBNETS_ANY));
}

TEST(SpooledRequest, TakesAnnotationsAndSubnets) {
    const auto r = request_from_json(R"({"ContainerId": "c1", "InterfaceName": "eth0", "NetnsPath": "/run/netns/x",
        "Annotations": {"natra.io/ingress-rate": "10M"}, "ShapedSubnets": ["10.0.0.0/8"]})");
    ASSERT_TRUE(r) << r.error().what;
    EXPECT_EQ(r->annotations, (limits::Annotations{{"natra.io/ingress-rate", "10M"}}));
    EXPECT_EQ(limits::to_strings(r->subnets.shaped), std::vector<std::string>{"10.0.0.0/8"});
    EXPECT_FALSE(request_from_json(R"({"ContainerId": "c1", "InterfaceName": "eth0", "NetnsPath": "/run/netns/x",
        "ShapedSubnets": ["hello"]})"));
}

TEST(SpooledRequest, CarriesEachDirectionsLimit) {
    const auto r = request_from_json(R"({"ContainerId": "c1", "InterfaceName": "eth0", "NetnsPath": "/run/netns/x",
        "IngressRate": 10000000, "IngressBurst": 80, "IngressSource": "runtime",
        "EgressRate": 20000000, "EgressBurst": 18446744073709551615, "EgressSource": "conf"})");
    ASSERT_TRUE(r) << r.error().what;
    EXPECT_EQ(r->limits.ingress,
              (limits::Limit{.rate_bps = 10'000'000, .burst_bits = 80, .source = limits::Source::runtime}));
    EXPECT_EQ(r->limits.egress,
              (limits::Limit{.rate_bps = 20'000'000, .burst_bits = UINT64_MAX, .source = limits::Source::conf}));
}

TEST(SpooledRequest, WithoutLimitsHasNone) {
    const auto r = request_from_json(R"({"ContainerId": "c1", "InterfaceName": "eth0", "NetnsPath": "/run/netns/x"})");
    ASSERT_TRUE(r) << r.error().what;
    EXPECT_EQ(r->limits, limits::Limits());
    EXPECT_FALSE(r->honour_filler_bursts);
    EXPECT_FALSE(r->strict_interfaces);
}

// As before natrad knew of pins.
TEST(StateFile, WithoutPinsNothingIsPinned) {
    auto object = nlohmann::json::parse(to_json(sample()));
    object["request"].erase("pins");
    object["override"].erase("pins");
    object["kernel"].erase("wish");
    ASSERT_EQ(object["kernel"].erase("stock_root"), 1U);
    const auto back = pod_from_json(object.dump());
    ASSERT_TRUE(back) << back.error().what;
    EXPECT_FALSE(back->request.pins.any());
    EXPECT_FALSE(back->changes.pins.any());
    EXPECT_EQ(back->kernel.record.wish, datapath::Wish());
    EXPECT_FALSE(back->kernel.record.stock_root);
}

TEST(SpooledRequest, CarriesWhatThePluginHadOpen) {
    const auto r = request_from_json(R"({"ContainerId": "c1", "InterfaceName": "eth0", "NetnsPath": "/n",
        "NetnsDevice": 4, "NetnsInode": 4026532000, "NetnsCookie": 18446744073709551615, "InterfaceIndex": 2,
        "InterfaceAddress": "0a:58:0a:00:00:02"})");
    ASSERT_TRUE(r) << r.error().what;
    EXPECT_EQ(r->opened.netns, (datapath::NetnsId{.dev = 4, .ino = 4026532000}));
    EXPECT_EQ(r->opened.netns_cookie, 18446744073709551615U);
    EXPECT_EQ(r->opened.ifindex, 2);
    EXPECT_EQ(r->opened.mac, "0a:58:0a:00:00:02");
}

TEST(SpooledRequest, CarriesPins) {
    const std::string begin = R"({"ContainerId": "c1", "InterfaceName": "eth0", "NetnsPath": "/n", )";
    const auto r = request_from_json(begin + R"("AttachMode": "clsact", "EdtPacing": "off"})");
    ASSERT_TRUE(r) << r.error().what;
    EXPECT_EQ(r->pins, (Pins{.attach_mode = datapath::AttachMode::clsact, .edt_pacing = datapath::EdtPacing::off}));
    const auto bad = request_from_json(begin + R"("Shaper": "fq"})");
    ASSERT_FALSE(bad);
    EXPECT_THAT(bad.error().what, HasSubstr("Shaper: \"fq\""));
}

TEST(SpooledRequest, NamesWhatIsWrongWithItsValue) {
    const std::string begin = R"({"ContainerId": "c1", "InterfaceName": "eth0", "NetnsPath": "/n", )";
    for (const auto& [field, error] :
         {std::pair{R"("IngressRate": -1)", "IngressRate: -1 is not"},
          {R"("EgressBurst": 1.5)", "EgressBurst: 1.5 is not"},
          {R"("HostInterfaces": "veth1")", "HostInterfaces: \"veth1\" is not a list"},
          {R"("StrictInterfaces": "yes")", "StrictInterfaces: \"yes\" is not true or false"},
          {R"("Annotations": {"natra.io/ingress-rate": 5})", "Annotations.natra.io/ingress-rate: 5 is not a string"}}) {
        const auto r = request_from_json(begin + field + "}");
        ASSERT_FALSE(r) << field;
        EXPECT_THAT(r.error().what, HasSubstr(error));
    }
}

TEST(SpooledRequest, NamesTheMissingField) {
    const auto r = request_from_json(R"({"ContainerId": "c1"})");
    ASSERT_FALSE(r);
    EXPECT_THAT(r.error().what, HasSubstr("InterfaceName"));
}

}  // namespace
}  // namespace natra::pods
