// SPDX-License-Identifier: Apache-2.0
// Lists, fq, clsact, and whose qdiscs may be touched.
#include <gmock/gmock.h>
#include <linux/pkt_sched.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "tests/netlink/world.hpp"

namespace natra::datapath::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;
using Code = Error::Code;
using Qdiscs = World;

std::vector<std::string> kinds(const std::vector<Qdisc>& qdiscs) {
    std::vector<std::string> out;
    std::transform(qdiscs.begin(), qdiscs.end(), std::back_inserter(out), [](const Qdisc& q) { return q.kind; });
    return out;
}

TEST_F(Qdiscs, OfOneDeviceAreListed) {
    run("tc qdisc add dev a0 root handle 7: pfifo");
    run("tc qdisc add dev a0 clsact");
    run("tc qdisc add dev b0 root handle 8: bfifo");
    const auto qdiscs = netlink().qdiscs(ifindex("a0"));
    ASSERT_OK(qdiscs);
    EXPECT_THAT(kinds(*qdiscs), UnorderedElementsAre("pfifo", "clsact"));
    for (const auto& qdisc : *qdiscs) {
        EXPECT_EQ(qdisc.ifindex, ifindex("a0"));
        EXPECT_EQ(qdisc.handle, qdisc.kind == "pfifo" ? 0x70000U : 0xffff0000U);
        EXPECT_EQ(qdisc.parent, qdisc.kind == "pfifo" ? TC_H_ROOT : TC_H_CLSACT);
    }
}

TEST_F(Qdiscs, OfAnAbsentDeviceAreAnError) {
    EXPECT_EQ(error_of(netlink().qdiscs(absent_ifindex)).code, Code::no_device);
    EXPECT_EQ(error_of(netlink().root_qdisc(absent_ifindex)).code, Code::no_device);
}

TEST_F(Qdiscs, TheDefaultRootHasNoHandle) {
    const auto root = netlink().root_qdisc(ifindex("a0"));
    ASSERT_OK(root);
    EXPECT_TRUE(!*root || (*root)->handle == 0);
    run("tc qdisc add dev a0 root handle 7: pfifo");
    const auto set = netlink().root_qdisc(ifindex("a0"));
    ASSERT_OK(set);
    ASSERT_TRUE(set->has_value());
    EXPECT_EQ((*set)->kind, "pfifo");
    EXPECT_EQ((*set)->handle, 0x70000U);
}

TEST_F(Qdiscs, OnlyNatrasOwnRootGivesWay) {
    constexpr HtbShape shape{
        .rate_bps = 1'000'000, .burst_ns = 1'000'000, .small_burst_ns = 1'000'000, .leaf_limit_bytes = 1 << 20};
    run("tc qdisc add dev a0 root handle 7: pfifo");
    for (const auto handle : {fq_handle, htb_handle})
        EXPECT_EQ(error_of(netlink().add_htb(ifindex("a0"), shape, handle)).sys, EEXIST);
    const auto root = netlink().root_qdisc(ifindex("a0"));
    ASSERT_OK(root);
    ASSERT_TRUE(root->has_value());
    EXPECT_EQ((*root)->kind, "pfifo");
    EXPECT_EQ(error_of(netlink().add_htb(ifindex("b0"), shape, fq_handle)).sys, EEXIST);
}

TEST_F(Qdiscs, TheRootOfADeviceThatWasNeverUpIsAbsent) {
    run("ip link add dormant0 type veth peer name dormant1");
    const auto root = netlink().root_qdisc(ifindex("dormant0"));
    ASSERT_OK(root);
    EXPECT_FALSE(root->has_value());
    EXPECT_OK(netlink().add_htb(ifindex("dormant0"), {.rate_bps = 1'000'000, .leaf_limit_bytes = 100'000}));
    EXPECT_EQ(root_of("dormant0"), "htb 4e41:");
}

// Either branch is checked against what tc can do on this kernel.
TEST_F(Qdiscs, FqTakesItsLimitsOrSaysThatTheKernelLacksIt) {
    const bool kernel_has_fq = run("sh -c 'tc qdisc add dev b0 root fq && echo yes || echo no'").ends_with("yes\n");
    const auto before = root_of("a0");
    const auto added = netlink().add_fq(ifindex("a0"), {.flow_limit = 1234, .limit = 56789});
    if (!kernel_has_fq) {
        const auto error = error_of(added);
        EXPECT_EQ(error.sys, ENOENT);
        EXPECT_THAT(error.what, HasSubstr("fq"));
        EXPECT_EQ(root_of("a0"), before);
        return;
    }
    ASSERT_OK(added);
    EXPECT_EQ(root_of("a0"), "fq 4e42:");
    const auto ours = run_json("tc -j -d qdisc show dev a0").at(0).at("options");
    auto defaults = run_json("tc -j -d qdisc show dev b0").at(0).at("options");
    EXPECT_EQ(ours.at("flow_limit"), 1234);
    EXPECT_EQ(ours.at("limit"), 56789);
    defaults["flow_limit"] = 1234;
    defaults["limit"] = 56789;
    defaults["orphan_mask"] = 0x3fff;
    EXPECT_EQ(ours, defaults);
    EXPECT_OK(netlink().change_fq(ifindex("a0"), {.flow_limit = 12345, .limit = 4'000'000'000}));
    defaults["flow_limit"] = 12345;
    defaults["limit"] = 4'000'000'000;
    EXPECT_EQ(run_json("tc -j -d qdisc show dev a0").at(0).at("options"), defaults);
    EXPECT_EQ(error_of(netlink().change_fq(ifindex("b0"), {})).sys, EEXIST) << "not natra's";
    run("tc qdisc del dev b0 root");
    EXPECT_EQ(error_of(netlink().change_fq(ifindex("b0"), {})).sys, ENOENT);
    EXPECT_OK(netlink().delete_root(ifindex("a0"), fq_handle));
    EXPECT_EQ(root_of("a0"), before);
}

TEST_F(Qdiscs, AddingToAnAbsentDeviceIsNoDevice) {
    EXPECT_EQ(error_of(netlink().add_htb(absent_ifindex, {.rate_bps = 1000})).code, Code::no_device);
    EXPECT_EQ(error_of(netlink().ensure_clsact(absent_ifindex)).code, Code::no_device);
    // Which of device and qdisc is missed first is the kernel's choice.
    EXPECT_TRUE(error_of(netlink().add_fq(absent_ifindex, {})).sys != 0);
}

TEST_F(Qdiscs, AForeignRootIsRefusedAndStays) {
    for (const std::string kind : {"pfifo", "tbf rate 1mbit burst 10k limit 20k", "htb"}) {
        run("tc qdisc add dev a0 root handle 7: " + kind);
        const auto before = run("tc -d qdisc show dev a0");
        const auto error = error_of(netlink().add_htb(ifindex("a0"), {.rate_bps = 1'000'000}));
        EXPECT_EQ(error.sys, EEXIST);
        EXPECT_EQ(error.code, Code::kernel);
        EXPECT_THAT(error.what, HasSubstr("over root qdisc " + kind.substr(0, kind.find(' '))));
        EXPECT_EQ(run("tc -d qdisc show dev a0"), before);
        run("tc qdisc del dev a0 root");
    }
}

TEST_F(Qdiscs, DeletingLeavesForeignRootsAlone) {
    run("tc qdisc add dev a0 root handle 7: pfifo");
    EXPECT_OK(netlink().delete_root(ifindex("a0"), htb_handle));
    EXPECT_OK(netlink().delete_root(ifindex("a0"), fq_handle));
    EXPECT_EQ(root_of("a0"), "pfifo 7:");
    // To the kernel 0 is any handle.
    EXPECT_EQ(error_of(netlink().delete_root(ifindex("a0"), 0)).code, Code::invalid_argument);
    EXPECT_EQ(error_of(netlink().delete_root(ifindex("a0"), 0x70000)).code, Code::invalid_argument);
    EXPECT_EQ(root_of("a0"), "pfifo 7:");
}

// Somebody else's choice of handle does not make it natra's.
TEST_F(Qdiscs, DeletingLooksAtTheKindToo) {
    run("tc qdisc add dev a0 root handle 4e41: pfifo");
    EXPECT_OK(netlink().delete_root(ifindex("a0"), htb_handle));
    EXPECT_EQ(root_of("a0"), "pfifo 4e41:");
}

TEST_F(Qdiscs, DeletingWhatIsAbsentSucceeds) {
    EXPECT_OK(netlink().delete_root(ifindex("a0"), htb_handle));
    EXPECT_OK(netlink().delete_root(absent_ifindex, htb_handle));
    EXPECT_OK(netlink().delete_clsact(ifindex("a0")));
    EXPECT_OK(netlink().delete_clsact(absent_ifindex));
}

TEST_F(Qdiscs, ClsactIsMadeOnceAndFoundAfterwards) {
    const auto made = netlink().ensure_clsact(ifindex("a0"));
    ASSERT_OK(made);
    EXPECT_TRUE(*made);
    EXPECT_TRUE(has_clsact("a0"));
    const auto found = netlink().ensure_clsact(ifindex("a0"));
    ASSERT_OK(found);
    EXPECT_FALSE(*found);
    EXPECT_OK(netlink().delete_clsact(ifindex("a0")));
    EXPECT_FALSE(has_clsact("a0"));
    EXPECT_OK(netlink().delete_clsact(ifindex("a0")));
    const auto again = netlink().ensure_clsact(ifindex("a0"));
    ASSERT_OK(again);
    EXPECT_TRUE(*again);
}

TEST_F(Qdiscs, ClsactOfOthersIsFound) {
    run("tc qdisc add dev a0 clsact");
    const auto found = netlink().ensure_clsact(ifindex("a0"));
    ASSERT_OK(found);
    EXPECT_FALSE(*found);
}

TEST_F(Qdiscs, AnIngressQdiscInThePlaceOfClsactIsRefusedAndStays) {
    run("tc qdisc add dev a0 ingress");
    const auto error = error_of(netlink().ensure_clsact(ifindex("a0")));
    EXPECT_EQ(error.code, Code::kernel);
    EXPECT_EQ(error.sys, EEXIST);
    EXPECT_THAT(error.what, HasSubstr("qdisc ingress is in its place"));
    EXPECT_OK(netlink().delete_clsact(ifindex("a0")));
    EXPECT_THAT(run("tc qdisc show dev a0"), HasSubstr("ingress ffff:"));
}

TEST_F(Qdiscs, OfEveryDeviceAreListed) {
    run("tc qdisc add dev a0 root handle 7: pfifo");
    run("tc qdisc add dev b0 root handle 8: bfifo");
    const auto all = netlink().qdiscs();
    ASSERT_OK(all);
    const auto has = [&](const char* device, const char* kind) {
        return std::any_of(all->begin(), all->end(),
                           [&](const Qdisc& q) { return q.ifindex == ifindex(device) && q.kind == kind; });
    };
    EXPECT_TRUE(has("a0", "pfifo"));
    EXPECT_TRUE(has("b0", "bfifo"));
}

TEST_F(Qdiscs, OfTheStockPluginGoAndOthersStay) {
    const auto bare = root_of("a0");
    const char* const roots[] = {"tbf rate 1mbit burst 10k latency 25ms", "htb default 1"};
    for (const char* root : roots) {
        run(concat("tc qdisc add dev a0 root handle 1: ", root));
        EXPECT_OK(netlink().delete_stock_root(ifindex("a0")));
        EXPECT_EQ(root_of("a0"), bare) << root;
        run(concat("tc qdisc add dev a0 root handle 2: ", root));
        EXPECT_OK(netlink().delete_stock_root(ifindex("a0")));
        EXPECT_NE(root_of("a0"), bare) << root;
        run("tc qdisc del dev a0 root");
    }
    run("tc qdisc add dev a0 root handle 1: pfifo");
    EXPECT_OK(netlink().delete_stock_root(ifindex("a0")));
    EXPECT_EQ(root_of("a0"), "pfifo 1:");
    run("tc qdisc add dev a0 ingress");
    EXPECT_OK(netlink().delete_stock_ingress(ifindex("a0")));
    EXPECT_OK(netlink().delete_stock_ingress(ifindex("a0")));
    run("tc qdisc add dev a0 clsact");
    EXPECT_OK(netlink().delete_stock_ingress(ifindex("a0")));
    EXPECT_TRUE(has_clsact("a0"));
}

}  // namespace
}  // namespace natra::datapath::testing
