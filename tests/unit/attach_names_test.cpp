// SPDX-License-Identifier: Apache-2.0
// The plugin sends a request over the bus, or leaves it in the spool: natrad understands the same in both.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/cni/request.hpp"
#include "daemon/pods/state_file.hpp"
#include "dbus/values.hpp"

namespace natra {
namespace {

// Every field differs from its default and from every other field.
cni::Request full() {
    cni::Request out{{.container_id = "c1",
                      .interface = "eth0",
                      .network = "net",
                      .netns_path = "/run/netns/pod",
                      .pod_namespace = "shop",
                      .pod_name = "web-0",
                      .pod_uid = "0a"}};
    out.host_interfaces = {"cni0", "veth1"};
    out.opened = {.netns_dev = 4, .netns_ino = 4026532000, .netns_cookie = 4711, .ifindex = 2, .address = "0a:58:01"};
    out.limits = {.ingress = {.rate_bps = 1000, .burst_bits = 2000, .source = limits::Source::runtime},
                  .egress = {.rate_bps = 3000, .burst_bits = 4294967295, .source = limits::Source::conf}};
    out.subnets = *limits::parse_subnet_rules({"10.0.0.0/8", "fd00::/8"}, {});
    out.annotations = {{"natra.io/ingress-rate", "10M"}};
    out.runtime_bursts = true;
    out.strict_interfaces = true;
    out.attach_mode = "tcx";
    out.edt_pacing = "off";
    out.shaper = "htb";
    return out;
}

dbus::Dictionary dictionary_of(const cni::Request& request) {
    dbus::Dictionary out;
    const auto put = [&out](const char* name, const auto& value) { out[name] = sdbus::Variant(value); };
    cni::visit(request, {.text = put, .number = put, .flag = put, .list = put, .map = put});
    return out;
}

void expect_full(const Result<pods::AttachRequest>& read) {
    ASSERT_TRUE(read) << read.error().what;
    const auto sent = full();
    EXPECT_EQ(read->container_id, sent.container_id);
    EXPECT_EQ(read->interface_name, sent.interface);
    EXPECT_EQ(read->network, sent.network);
    EXPECT_EQ(read->netns_path, sent.netns_path);
    EXPECT_EQ(read->pod_namespace, sent.pod_namespace);
    EXPECT_EQ(read->pod_name, sent.pod_name);
    EXPECT_EQ(read->pod_uid, sent.pod_uid);
    EXPECT_EQ(read->host_interfaces, sent.host_interfaces);
    EXPECT_EQ(read->opened.netns, (datapath::NetnsId{.dev = sent.opened.netns_dev, .ino = sent.opened.netns_ino}));
    EXPECT_EQ(read->opened.netns_cookie, sent.opened.netns_cookie);
    EXPECT_EQ(read->opened.ifindex, 2);
    EXPECT_EQ(read->opened.mac, sent.opened.address);
    EXPECT_EQ(read->limits, sent.limits);
    EXPECT_EQ(read->subnets, sent.subnets);
    EXPECT_EQ(read->annotations, sent.annotations);
    EXPECT_TRUE(read->honour_filler_bursts);
    EXPECT_TRUE(read->strict_interfaces);
    EXPECT_EQ(read->pins, (pods::Pins{.attach_mode = datapath::AttachMode::tcx,
                                      .edt_pacing = datapath::EdtPacing::off,
                                      .shaper = datapath::Shaper::htb}));
}

TEST(AttachNames, ArriveOverTheBus) { expect_full(dbus::request_from(dictionary_of(full()))); }

TEST(AttachNames, ArriveThroughTheSpool) { expect_full(pods::request_from_json(cni::to_object(full()).dump())); }

// Beside those of `full`, which has only one of the two lists.
TEST(AttachNames, UnshapedSubnetsArriveBothWays) {
    auto request = full();
    request.subnets = *limits::parse_subnet_rules({}, {"192.168.0.0/16"});
    const auto bus = dbus::request_from(dictionary_of(request));
    ASSERT_TRUE(bus) << bus.error().what;
    EXPECT_EQ(bus->subnets, request.subnets);
    const auto spooled = pods::request_from_json(cni::to_object(request).dump());
    ASSERT_TRUE(spooled) << spooled.error().what;
    EXPECT_EQ(spooled->subnets, request.subnets);
}

// A name that is misspelt at one end is a field that is lost without a word: each is missed, or refused.
TEST(AttachNames, EachOneCounts) {
    const auto whole = dictionary_of(full());
    EXPECT_EQ(whole.size(), 26U);
    for (const auto& [name, value] : whole) {
        auto wrong = whole;
        wrong[name] = sdbus::Variant(1.5);  // no field is of this type
        const auto bus = dbus::request_from(wrong);
        ASSERT_FALSE(bus) << name;
        EXPECT_THAT(bus.error().what, testing::HasSubstr(name));
        auto object = cni::to_object(full());
        object[name] = 1.5;
        const auto spooled = pods::request_from_json(object.dump());
        ASSERT_FALSE(spooled) << name;
        EXPECT_THAT(spooled.error().what, testing::HasSubstr(name));
    }
}

}  // namespace
}  // namespace natra
