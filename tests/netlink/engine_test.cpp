// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/engine.hpp"

#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "daemon/util/files.hpp"
#include "tests/netlink/engine_world.hpp"
#include "tests/netlink/faults.hpp"

namespace natra::datapath::testing {
namespace {

TEST_F(Engines, MendInsideWhereNoBackstopCanBePutUp) {
    auto attached = attach();
    expect_inside(attached);
    in_pod("tc qdisc del dev eth0 root");
    {
        const RefusedRequest refused(RTM_NEWTFILTER, 1);
        const auto mended = engine_->mend(attached, attached.record.rates(), Remedy::backstop);
        ASSERT_OK(mended);
        EXPECT_TRUE(refused.happened());
        EXPECT_TRUE(mended->pod_side);
        EXPECT_EQ(mended->failed, std::vector<std::string>{});
        EXPECT_EQ(mended->found.size(), 2U);
    }
    expect_inside(attached);
    const auto again = engine_->mend(attached, attached.record.rates(), Remedy::backstop);
    ASSERT_OK(again);
    EXPECT_FALSE(again->any());
}

// Packets; of the fq in the pod.
int fq_limit(const std::string& shown) {
    const auto qdisc = nlohmann::json::parse(shown).at(0);
    EXPECT_EQ(qdisc.at("kind"), "fq");
    EXPECT_EQ(qdisc.at("options").at("flow_limit"), qdisc.at("options").at("limit"));
    return qdisc.at("options").at("limit");
}

TEST_F(Engines, GiveFqTheRoomThatARateNeeds) {
    if (!engine_->features().fq) GTEST_SKIP() << "this kernel has no sch_fq";
    const auto limit = [&] { return fq_limit(in_pod("tc -j -d qdisc show dev eth0 root")); };
    const auto bits = [](std::uint64_t bps) { return Rates{.ingress = {}, .egress = Rate{.rate_bps = bps}}; };
    auto attached = engine_->attach({.id = "pod1",
                                     .netns_fd = pod_.get(),
                                     .netns_path = netns_path(),
                                     .device = "eth0",
                                     .rates = bits(10'000'000'000),
                                     .wish = {.shaper = Shaper::edt, .shaper_by = "the test"}});
    ASSERT_OK(attached);
    const int at_10g = limit();
    // 50 ms of 64 bytes each
    EXPECT_GT(at_10g, 976'000);
    ASSERT_OK(engine_->change(*attached, bits(25'000'000'000)));
    const int at_25g = limit();
    EXPECT_GT(at_25g, 2 * at_10g);
    // what waits was let in at the higher rate
    ASSERT_OK(engine_->change(*attached, bits(1'000'000)));
    EXPECT_EQ(limit(), at_25g);
    ASSERT_OK(engine_->change(*attached, bits(10'000'000'000)));
    // an older natrad's limits
    const auto recorded = attached->record;
    attached->egress.reset();
    in_pod("tc qdisc change dev eth0 root handle 4e42: fq limit 40000 flow_limit 10000");
    restart();
    const auto adopted = engine_->adopt(recorded);
    ASSERT_OK(adopted);
    EXPECT_EQ(limit(), at_10g);
}

TEST_F(Engines, KeepAllWhereNoBackstopCanBePutUp) {
    auto attached = attach();
    const auto instance = attached.egress;
    const auto config = instance->config();
    const auto pinned = files::list(pins_.path("pins/pod1"));
    // Another namespace's path cannot be found, that of ours can.
    for (const auto& path : {std::string("/nonexistent"), netns_path()}) {
        attached.record.netns_path = path;
        const RefusedRequest refused(RTM_NEWTFILTER, 1);
        EXPECT_FALSE(engine_->install_backstop(attached, "it was asked for"));
        EXPECT_TRUE(refused.happened());
        EXPECT_EQ(attached.egress, instance);
        EXPECT_EQ(std::memcmp(&instance->config(), &config, sizeof config), 0);
        EXPECT_EQ(files::list(pins_.path("pins/pod1")), pinned);
        expect_inside(attached);
    }
}

TEST_F(Engines, PoliceOutsideOfAPodThatCannotBeEntered) {
    auto attached = attach();
    const auto inside = attached.egress;
    attached.record.netns_path = "/nonexistent";
    ASSERT_OK(engine_->install_backstop(attached, "it was asked for"));
    ASSERT_TRUE(attached.record.egress);
    EXPECT_TRUE(attached.record.egress->backstop);
    EXPECT_EQ(attached.record.egress->rate, rate);
    EXPECT_EQ(filters_outside(), 1U);
    EXPECT_NE(attached.egress, inside);
    EXPECT_EQ(inside->config().mode, NATRA_MODE_OFF);
    EXPECT_NE(attached.egress->config().mode, NATRA_MODE_OFF);
    engine_->confirm_switch("pod1");
    EXPECT_EQ(files::list(pins_.path("pins/pod1")), (std::vector<std::string>{"egress_prog", "egress_state"}));
    const auto pinned = Instance::adopt(pins_.path("pins/pod1"), "egress");
    ASSERT_OK(pinned);
    EXPECT_EQ(pinned->prog_id(), attached.egress->prog_id());
}

// natrad dies before it records what it did.
TEST_F(Engines, SweepABackstopThatNobodyRecorded) {
    for (const bool reachable : {true, false}) {
        auto attached = attach();
        auto recorded = attached.record;
        ASSERT_OK(engine_->install_backstop(attached, "it was asked for"));
        restart();
        if (!reachable) recorded.netns_path = "/nonexistent";
        const auto adopted = engine_->adopt(recorded);
        ASSERT_OK(adopted);
        if (reachable) {
            expect_inside(*adopted);
        } else {
            ASSERT_TRUE(adopted->record.egress);
            EXPECT_TRUE(adopted->record.egress->backstop);
            EXPECT_NE(adopted->egress->config().mode, NATRA_MODE_OFF);
            EXPECT_EQ(filters_outside(), 1U);
        }
        engine_->confirm_switch("pod1");
        EXPECT_EQ(files::list(pins_.path("pins/pod1")), (std::vector<std::string>{"egress_prog", "egress_state"}));
        ASSERT_OK(engine_->detach(*adopted));
    }
}

TEST_F(Engines, SweepWhatFollowedOnABackstopThatNobodyRecorded) {
    auto attached = attach();
    const auto qdisc = in_pod("tc qdisc show dev eth0 root");
    ASSERT_OK(engine_->install_backstop(attached, "it was asked for"));
    engine_->confirm_switch("pod1");
    const auto recorded = attached.record;
    ASSERT_OK(engine_->lift_backstop(attached));
    expect_inside(attached);
    EXPECT_EQ(in_pod("tc qdisc show dev eth0 root"), qdisc);
    restart();
    const auto adopted = engine_->adopt(recorded);
    ASSERT_OK(adopted);
    ASSERT_TRUE(adopted->record.egress);
    EXPECT_TRUE(adopted->record.egress->backstop);
    EXPECT_EQ(filters_outside(), 1U);
    EXPECT_NE(in_pod("tc qdisc show dev eth0 root"), qdisc);
    EXPECT_EQ(in_pod("tc filter show dev eth0 egress"), "");
}

// The stock plugin's root qdisc could not be deleted when the pod was taken over.
class StockRoots : public Engines {
protected:
    // The requests to delete a qdisc: the ingress qdisc's, then the root's.
    Attached take_over(const Rates& rates, int refused_type = RTM_DELQDISC, int refused_nth = 2) {
        run("tc qdisc add dev p0 root handle 1: tbf rate 10mbit burst 100kb latency 25ms");
        const RefusedRequest refused(refused_type, refused_nth);
        auto attached = engine_->attach({.id = "pod1",
                                         .netns_fd = pod_.get(),
                                         .netns_path = netns_path(),
                                         .device = "eth0",
                                         .stock_root = true,
                                         .rates = rates});
        EXPECT_TRUE(refused.happened());
        EXPECT_TRUE(attached) << attached.error().what;
        EXPECT_TRUE(is_there());
        return attached ? *std::move(attached) : Attached{};
    }
    bool is_there() { return run("tc qdisc show dev p0").find("tbf 1: root") != std::string::npos; }
    void expect_mended(Attached& attached, const Rates& rates) {
        {
            const RefusedRequest refused(RTM_DELQDISC, 1);
            const auto mended = engine_->mend(attached, rates, Remedy::put_back);
            ASSERT_OK(mended);
            EXPECT_TRUE(refused.happened());
            EXPECT_EQ(mended->failed.size(), 1U);
            EXPECT_FALSE(mended->pod_side || mended->host_side) << "nobody has tampered";
        }
        EXPECT_TRUE(is_there());
        const auto mended = engine_->mend(attached, rates, Remedy::put_back);
        ASSERT_OK(mended);
        EXPECT_TRUE(mended->any());
        EXPECT_EQ(mended->failed, std::vector<std::string>{});
        EXPECT_FALSE(is_there());
        EXPECT_OK(engine_->check(attached, pod_.get()));
        const auto again = engine_->mend(attached, rates, Remedy::put_back);
        ASSERT_OK(again);
        EXPECT_FALSE(again->any());
    }
};

TEST_F(StockRoots, GoLaterAndMakePlaceForTheBestShaper) {
    const Rates rates{.ingress = rate, .egress = {}};
    auto attached = take_over(rates);
    ASSERT_TRUE(attached.record.ingress);
    EXPECT_EQ(attached.record.ingress->shaper, Shaper::police);
    const auto program = attached.ingress;
    expect_mended(attached, rates);
    EXPECT_NE(attached.record.ingress->shaper, Shaper::police);
    EXPECT_EQ(attached.ingress, program);
}

TEST_F(StockRoots, StayUntilNatraLimitsInTheirPlace) {
    const Rates rates{.ingress = rate, .egress = {}};
    auto attached = take_over(rates, RTM_NEWTFILTER, 1);
    EXPECT_FALSE(attached.record.ingress);
    {
        const RefusedRequest refused(RTM_NEWTFILTER, 1);
        EXPECT_OK(engine_->mend(attached, rates, Remedy::put_back));
        EXPECT_TRUE(refused.happened());
    }
    EXPECT_FALSE(attached.record.ingress);
    EXPECT_TRUE(is_there());
    EXPECT_OK(engine_->mend(attached, rates, Remedy::put_back));
    EXPECT_FALSE(is_there());
    ASSERT_TRUE(attached.record.ingress);
    EXPECT_NE(attached.record.ingress->shaper, Shaper::police);
}

TEST_F(StockRoots, GoLaterWhereNothingTakesTheirPlace) {
    const Rates rates{.ingress = {}, .egress = rate};
    auto attached = take_over(rates);
    expect_mended(attached, rates);
    EXPECT_FALSE(attached.record.ingress);
}

// The record is all that the next natrad has.
TEST_F(StockRoots, GoWhenAnotherNatradLooks) {
    const Rates rates{.ingress = rate, .egress = {}};
    const auto recorded = take_over(rates).record;
    restart();
    auto adopted = engine_->adopt(recorded);
    ASSERT_OK(adopted);
    EXPECT_EQ(adopted->record.ingress->shaper, Shaper::police);
    expect_mended(*adopted, rates);
}

}  // namespace
}  // namespace natra::datapath::testing
