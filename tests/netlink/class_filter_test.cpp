// SPDX-License-Identifier: Apache-2.0
// HTB with its filter: what the program notes leads to a class.
#include "daemon/datapath/class_filter.hpp"

#include "bpf/natra_abi.h"
#include "daemon/datapath/shaper.hpp"
#include "tests/netlink/engine_world.hpp"

namespace natra::datapath::testing {
namespace {

constexpr std::uint32_t noted(std::uint32_t minor) { return NATRA_HTB_MAJOR << 16 | NATRA_HTB_BY_FILTER | minor; }

// The queues of the two classes.
const std::string small_leaf = "4e43:";
const std::string heavy_leaf = "4e44:";

// Packets; of a qdisc among those that tc shows.
int sent_by(const std::string& handle, const std::string& shown) {
    for (const auto& each : nlohmann::json::parse(shown))
        if (each.at("handle") == handle) return each.at("packets");
    ADD_FAILURE() << "no qdisc " << handle;
    return 0;
}

class ClassFilter : public World {
protected:
    void SetUp() override {
        World::SetUp();
        a_ = ifindex("a0");
        const Rate rate{.rate_bps = 1'000'000'000};
        ASSERT_OK(add_shaper_qdisc(netlink(), a_, Shaper::htb, rate, make_config({.rate_bps = rate.rate_bps})));
    }
    int packets_of(const std::string& leaf) { return sent_by(leaf, run("tc -s -j qdisc show dev a0")); }
    int direct_packets() {
        return run_json("tc -s -j qdisc show dev a0").at(0).at("options").at("direct_packets_stat");
    }
    int a_ = 0;
};

TEST_F(ClassFilter, LeadsToTheNotedClass) {
    ASSERT_TRUE(*has_class_filter(netlink(), a_));
    Wire wire{Wire::open(a_), Wire::open(ifindex("b0"))};
    const auto small = packets_of(small_leaf);
    const auto heavy = packets_of(heavy_leaf);
    const auto direct = direct_packets();
    wire.send(3, noted(NATRA_HTB_SMALL_MINOR));
    wire.send(5, noted(NATRA_HTB_HEAVY_MINOR));
    wire.send(7, noted(NATRA_HTB_DIRECT_MINOR));
    wire.send(9, 0);
    wire.send(11, 6);
    EXPECT_EQ(wire.receive(35), 35);
    EXPECT_EQ(packets_of(small_leaf) - small, 3);
    EXPECT_GE(packets_of(heavy_leaf) - heavy, 5 + 9 + 11);
    EXPECT_EQ(direct_packets() - direct, 7);
}

TEST_F(ClassFilter, WithoutItAllIsHeavy) {
    run("tc filter del dev a0");
    EXPECT_FALSE(*has_class_filter(netlink(), a_));
    const auto heavy = packets_of(heavy_leaf);
    Wire wire{Wire::open(a_), Wire::open(ifindex("b0"))};
    wire.send(3, noted(NATRA_HTB_SMALL_MINOR));
    wire.send(3, noted(NATRA_HTB_DIRECT_MINOR));
    EXPECT_EQ(wire.receive(6), 6);
    EXPECT_GE(packets_of(heavy_leaf) - heavy, 6);
    ASSERT_OK(add_class_filter(netlink(), a_));
    EXPECT_TRUE(*has_class_filter(netlink(), a_));
}

TEST_F(ClassFilter, IsTheLastOne) {
    const auto first = load_program();
    for (const std::uint32_t priority : {1U, 0U})
        ASSERT_OK(netlink().add_bpf_filter(a_, htb_handle, priority, first.fd.get(), "another"));
    const auto filters = netlink().filters(a_, htb_handle);
    ASSERT_OK(filters);
    ASSERT_EQ(filters->size(), 3U);
    EXPECT_EQ(filters->back().name, "natra-class");
}

TEST_F(ClassFilter, GoesWithItsQdisc) {
    ASSERT_OK(remove_shaper_qdisc(netlink(), a_, Shaper::htb));
    EXPECT_FALSE(*has_class_filter(netlink(), a_));
    EXPECT_FALSE(add_class_filter(netlink(), a_));
    EXPECT_FALSE(*has_class_filter(netlink(), a_));
}

class ClassFilters : public Engines {
protected:
    Attached attach_htb(bool ingress_qdisc) {
        if (ingress_qdisc) in_pod("tc qdisc add dev eth0 handle ffff: ingress");
        auto attached = engine_->attach(
            {.id = "pod1",
             .netns_fd = pod_.get(),
             .netns_path = netns_path(),
             .device = "eth0",
             .rates = {.ingress = {}, .egress = Rate{.rate_bps = 1'000'000'000}},
             .wish = {
                 .attach_mode = AttachMode::clsact, .shaper = Shaper::htb, .attach_mode_by = "x", .shaper_by = "x"}});
        EXPECT_TRUE(attached) << attached.error().what;
        return attached ? *std::move(attached) : Attached{};
    }
    int small_packets() { return sent_by(small_leaf, in_pod("tc -s -j qdisc show dev eth0")); }
    void delete_filter() { in_pod("tc filter del dev eth0 parent 4e41: prio 65534"); }
};

TEST_F(ClassFilters, SmallFlowsGoFirstFromEveryHook) {
    for (const bool on_htb : {false, true}) {
        SCOPED_TRACE(on_htb ? "htb" : "clsact");
        auto attached = attach_htb(on_htb);
        ASSERT_TRUE(attached.record.egress);
        EXPECT_EQ(attached.record.egress->hook.kind, on_htb ? HookKind::htb : HookKind::clsact);
        const auto before = small_packets();
        auto sent = wire(Direction::egress);
        sent.send(5);
        EXPECT_EQ(sent.receive(5), 5);
        EXPECT_GE(small_packets() - before, 5);
        EXPECT_OK(engine_->detach(attached));
    }
}

TEST_F(ClassFilters, AreMissedAndPutBack) {
    for (const bool on_htb : {false, true}) {
        auto attached = attach_htb(on_htb);
        EXPECT_OK(engine_->check(attached, pod_.get()));
        delete_filter();
        EXPECT_EQ(error_of(engine_->check(attached, pod_.get())).code, Error::Code::mismatch);
        const auto mended = engine_->mend(attached, attached.record.rates(), Remedy::put_back);
        ASSERT_OK(mended);
        EXPECT_EQ(mended->failed, std::vector<std::string>{});
        EXPECT_EQ(mended->found, std::vector<std::string>{"filter of HTB's at the root of eth0 is gone"});
        EXPECT_OK(engine_->check(attached, pod_.get()));
        EXPECT_FALSE(engine_->mend(attached, attached.record.rates(), Remedy::put_back)->any());
        EXPECT_OK(engine_->detach(attached));
    }
}

// An older natrad's HTB has none.
TEST_F(ClassFilters, AreAddedOnAdoption) {
    for (const bool on_htb : {false, true}) {
        auto attached = attach_htb(on_htb);
        const auto recorded = attached.record;
        attached.egress.reset();
        delete_filter();
        restart();
        const auto adopted = engine_->adopt(recorded);
        ASSERT_OK(adopted);
        EXPECT_OK(engine_->check(*adopted, pod_.get()));
        EXPECT_OK(engine_->detach(*adopted));
    }
}

}  // namespace
}  // namespace natra::datapath::testing
