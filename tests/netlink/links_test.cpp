// SPDX-License-Identifier: Apache-2.0
#include <sched.h>

#include <cerrno>

#include "daemon/datapath/placement.hpp"
#include "tests/netlink/world.hpp"

namespace natra::datapath::testing {
namespace {

using Links = World;
using Code = Error::Code;

TEST_F(Links, AreFoundByNameAndByIndex) {
    run("ip link set a0 mtu 1400");
    const auto a = netlink().link_by_name("a0");
    ASSERT_OK(a);
    EXPECT_EQ(a->name, "a0");
    EXPECT_EQ(a->kind, "veth");
    EXPECT_EQ(a->mtu, 1400U);
    EXPECT_TRUE(a->up);
    EXPECT_EQ(a->ifindex, ifindex("a0"));
    EXPECT_EQ(a->peer_ifindex, ifindex("b0"));
    const auto b = netlink().link_by_index(a->peer_ifindex);
    ASSERT_OK(b);
    EXPECT_EQ(b->name, "b0");
    EXPECT_EQ(b->peer_ifindex, a->ifindex);
}

TEST_F(Links, TellTheirAddress) {
    run("ip link set a0 address 0a:58:0a:f4:00:FF");
    const auto a = netlink().link_by_name("a0");
    ASSERT_OK(a);
    EXPECT_EQ(a->address, "0a:58:0a:f4:00:ff");
}

TEST_F(Links, TellWhetherTheirPacketsHaveALinkHeader) {
    run("ip tuntap add tun7 mode tun");
    run("ip tuntap add tap7 mode tap");
    for (const auto& [name, expected] : {std::pair{"a0", true}, {"lo", true}, {"tap7", true}, {"tun7", false}}) {
        const auto link = netlink().link_by_name(name);
        ASSERT_OK(link);
        EXPECT_EQ(has_link_header(*link), expected) << name;
    }
}

TEST_F(Links, AreListedByKind) {
    run("ip link add ifb7 type ifb");
    const auto ifbs = netlink().links_of_kind("ifb");
    ASSERT_OK(ifbs);
    ASSERT_EQ(ifbs->size(), 1U);
    EXPECT_EQ(ifbs->front().name, "ifb7");
    const auto veths = netlink().links_of_kind("veth");
    ASSERT_OK(veths);
    EXPECT_EQ(veths->size(), 2U);
    const auto none = netlink().links_of_kind("wireguard");
    ASSERT_OK(none);
    EXPECT_TRUE(none->empty());
}

TEST_F(Links, TellWhetherTheyAreUp) {
    run("ip link set a0 down");
    const auto a = netlink().link_by_name("a0");
    ASSERT_OK(a);
    EXPECT_FALSE(a->up);
}

TEST_F(Links, OfOtherKindsAreTold) {
    run("ip link add br0 type bridge");
    const auto bridge = netlink().link_by_name("br0");
    ASSERT_OK(bridge);
    EXPECT_EQ(bridge->kind, "bridge");
    EXPECT_EQ(bridge->peer_ifindex, 0);
    const auto loopback = netlink().link_by_name("lo");
    ASSERT_OK(loopback);
    EXPECT_EQ(loopback->kind, "");
    EXPECT_EQ(loopback->peer_ifindex, 0);
}

// The peer's index then belongs to another namespace.
TEST_F(Links, WhosePeerIsElsewhereKeepItsIndex) {
    const int peer = ifindex("b0");
    const auto elsewhere = make_netns();
    run("ip link set b0 netns /proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(elsewhere.get()));
    const auto a = netlink().link_by_name("a0");
    ASSERT_OK(a);
    EXPECT_EQ(a->peer_ifindex, peer);
    EXPECT_EQ(error_of(netlink().link_by_name("b0")).code, Code::no_device);
}

TEST_F(Links, SayInWhichNamespaceTheirPeerIs) {
    const auto elsewhere = make_netns();
    const auto third = make_netns();
    EXPECT_FALSE(netlink().link_by_name("a0")->peer_nsid) << "a peer in the same namespace needs no number";
    run("ip link set b0 netns /proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(elsewhere.get()));
    const auto a = netlink().link_by_name("a0");
    ASSERT_OK(a);
    ASSERT_TRUE(a->peer_nsid);
    const auto nsid = netlink().nsid(elsewhere.get());
    ASSERT_OK(nsid);
    EXPECT_EQ(*nsid, a->peer_nsid);
    const auto unrelated = netlink().nsid(third.get());
    ASSERT_OK(unrelated);
    EXPECT_FALSE(*unrelated);
    EXPECT_FALSE(netlink().nsid(-1));
}

TEST_F(Links, AreInANamespaceThatHasACookie) {
    const auto own = netlink().netns_cookie();
    if (own == 0) GTEST_SKIP() << "not before Linux 5.14";
    const auto again = Netlink::open();
    ASSERT_OK(again);
    EXPECT_EQ(again->netns_cookie(), own);
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    const auto other = Netlink::open();
    ASSERT_OK(other);
    EXPECT_NE(other->netns_cookie(), own);
}

TEST_F(Links, ThatAreAbsentAreNoDevice) {
    const auto by_name = error_of(netlink().link_by_name("nothere0"));
    EXPECT_EQ(by_name.code, Code::no_device);
    EXPECT_NE(by_name.what.find("nothere0"), std::string::npos);
    EXPECT_EQ(error_of(netlink().link_by_index(absent_ifindex)).code, Code::no_device);
    EXPECT_EQ(error_of(netlink().link_by_index(0)).code, Code::no_device);
    EXPECT_EQ(error_of(netlink().link_by_index(-1)).code, Code::no_device);
}

TEST_F(Links, RefuseNamesThatCannotBe) {
    for (const auto& name : {std::string(), std::string(16, 'x'), std::string(100'000, 'x'), std::string("a0\0b", 4)})
        EXPECT_EQ(error_of(netlink().link_by_name(name)).code, Code::invalid_argument);
    EXPECT_EQ(error_of(netlink().link_by_name("fifteen_letters")).code, Code::no_device);
}

}  // namespace
}  // namespace natra::datapath::testing
