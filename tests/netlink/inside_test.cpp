// SPDX-License-Identifier: Apache-2.0
// Ingress that is policed inside the pod, since packets come past the host's device.
#include <gtest/gtest.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstring>

#include "daemon/util/files.hpp"
#include "tests/netlink/engine_world.hpp"
#include "tests/netlink/faults.hpp"

namespace natra::datapath::testing {
namespace {

class Inside : public Engines {
protected:
    Attached attach_both() {
        auto attached = engine_->attach({.id = "pod1",
                                         .netns_fd = pod_.get(),
                                         .netns_path = netns_path(),
                                         .device = "eth0",
                                         .rates = {.ingress = rate, .egress = rate}});
        EXPECT_TRUE(attached) << attached.error().what;
        return attached ? *std::move(attached) : Attached{};
    }
    void expect_ingress(const Attached& attached, bool inside) {
        ASSERT_TRUE(attached.record.ingress);
        EXPECT_EQ(attached.record.ingress->pod_side, inside);
        EXPECT_EQ(attached.record.ingress->hook.device_egress, !inside);
        EXPECT_EQ(attached.record.ingress->rate, rate);
        EXPECT_EQ(attached.record.past_host_side, inside);
        EXPECT_OK(engine_->check(attached, pod_.get()));
        EXPECT_EQ(in_pod("tc filter show dev eth0 ingress").empty(), !inside);
        EXPECT_EQ(run("tc filter show dev p0 egress").empty(), inside);
        if (inside) {
            EXPECT_EQ(attached.record.ingress->shaper, Shaper::police);
            EXPECT_EQ(run("tc qdisc show dev p0").find("4e4"), std::string::npos);
        }
    }
    std::vector<std::string> pinned() const {
        auto out = files::list(pins_.path("pins/pod1"));
        std::sort(out.begin(), out.end());
        return out;
    }
    static constexpr const char* why = "packets come past p0";
};

TEST_F(Inside, TheSameProgramPolicesWhatComesPastTheHost) {
    auto attached = attach_both();
    expect_ingress(attached, false);
    const auto instance = attached.ingress;
    const auto before = pinned();
    ASSERT_OK(engine_->police_inside(attached, why));
    EXPECT_EQ(attached.ingress, instance);
    expect_ingress(attached, true);
    engine_->confirm_switch("pod1");
    EXPECT_EQ(pinned(), before);
    // Once is enough.
    ASSERT_OK(engine_->police_inside(attached, "again"));
    expect_ingress(attached, true);
    ASSERT_OK(engine_->detach(attached));
    EXPECT_EQ(in_pod("tc qdisc show dev eth0 clsact"), "");
    EXPECT_EQ(run("tc qdisc show dev p0 clsact"), "");
}

TEST_F(Inside, ANewLimitIsThereAsWell) {
    auto attached = attach_both();
    ASSERT_OK(engine_->police_inside(attached, why));
    ASSERT_OK(change_drained(attached, {.ingress = {}, .egress = rate}));
    EXPECT_EQ(in_pod("tc filter show dev eth0 ingress"), "");
    ASSERT_OK(change_drained(attached, {.ingress = rate, .egress = rate}));
    expect_ingress(attached, true);
    EXPECT_NE(attached.record.ingress->reason.shaper.find("past p0"), std::string::npos);
    // No other shaper can be had.
    ASSERT_OK(switch_drained(attached, {.shaper = Shaper::htb, .shaper_by = "the test"}));
    expect_ingress(attached, true);
}

TEST_F(Inside, WhatIsUndoneIsPutBack) {
    auto attached = attach_both();
    ASSERT_OK(engine_->police_inside(attached, why));
    in_pod("tc filter del dev eth0 ingress");
    for (const auto remedy : {Remedy::put_back, Remedy::backstop}) {
        const auto mended = engine_->mend(attached, attached.record.rates(), remedy);
        ASSERT_OK(mended);
        EXPECT_EQ(mended->any(), remedy == Remedy::put_back);
        EXPECT_TRUE(mended->failed.empty());
        expect_ingress(attached, true);
    }
}

TEST_F(Inside, AllStaysWhereNothingCanBePutUpThere) {
    auto attached = attach_both();
    const auto instance = attached.ingress;
    const auto config = instance->config();
    const auto before = pinned();
    const auto path = attached.record.netns_path;
    attached.record.netns_path = "/nonexistent";
    EXPECT_FALSE(engine_->police_inside(attached, why));
    attached.record.netns_path = path;
    {
        const RefusedRequest refused(RTM_NEWTFILTER, 1);
        EXPECT_FALSE(engine_->police_inside(attached, why));
        EXPECT_TRUE(refused.happened());
    }
    EXPECT_EQ(attached.ingress, instance);
    EXPECT_EQ(std::memcmp(&instance->config(), &config, sizeof config), 0);
    EXPECT_EQ(pinned(), before);
    expect_ingress(attached, false);
}

TEST_F(Inside, IsAdopted) {
    auto attached = attach_both();
    ASSERT_OK(engine_->police_inside(attached, why));
    engine_->confirm_switch("pod1");
    const auto recorded = attached.record;
    attached = {};
    restart();
    const auto adopted = engine_->adopt(recorded);
    ASSERT_OK(adopted);
    expect_ingress(*adopted, true);
}

// natrad dies before it records what it did.
TEST_F(Inside, IsSweptIfNobodyRecordedIt) {
    auto attached = attach_both();
    const auto recorded = attached.record;
    ASSERT_OK(engine_->police_inside(attached, why));
    attached = {};
    restart();
    const auto adopted = engine_->adopt(recorded);
    ASSERT_OK(adopted);
    expect_ingress(*adopted, false);
}

TEST_F(Inside, NothingIsWithoutAHostSide) {
    auto attached = attach_both();
    attached.record.host_ifindex = 0;
    EXPECT_EQ(engine_->police_inside(attached, why).error().code, Error::Code::unsupported);
}

TEST_F(Engines, ReadWhatAPodsDeviceCarried) {
    const auto attached = attach();
    ASSERT_NE(attached.nsid, host_nsid);
    const auto before =
        engine_->pod_traffic({{.id = "pod1", .nsid = attached.nsid, .ifindex = attached.record.pod_ifindex}});
    ASSERT_EQ(before.size(), 1U);
    auto sender = wire(Direction::ingress);
    sender.send(7, 1000);
    const auto after =
        engine_->pod_traffic({{.id = "pod1", .nsid = attached.nsid, .ifindex = attached.record.pod_ifindex},
                              {.id = "gone", .nsid = attached.nsid, .ifindex = 4711}});
    ASSERT_EQ(after.size(), 1U);
    EXPECT_EQ(after.at("pod1").received - before.at("pod1").received, 7000U);
    EXPECT_EQ(after.at("pod1").received_packets - before.at("pod1").received_packets, 7U);
}

}  // namespace
}  // namespace natra::datapath::testing
