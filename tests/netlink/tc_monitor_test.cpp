// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/tc_monitor.hpp"

#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "tests/netlink/world.hpp"

namespace natra::datapath::testing {
namespace {

class TheTcMonitor : public World {
protected:
    void SetUp() override {
        World::SetUp();
        auto opened = TcMonitor::open();
        ASSERT_OK(opened);
        monitor_.emplace(*std::move(opened));
    }
    TcChanges read(std::uint32_t own_port = 0) { return monitor_->read(own_port); }
    bool told_of(int nsid, int index) { return read().places.contains({.nsid = nsid, .ifindex = index}); }
    // Runs a command inside a namespace.
    static void run_in(const UniqueFd& netns, const std::string& command) {
        run("nsenter --net=/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(netns.get()) + " " + command);
    }
    std::optional<TcMonitor> monitor_;
};

TEST_F(TheTcMonitor, IsSilentAndDoesNotBlockWhileNothingHappens) {
    run("ip link set a0 mtu 1400");
    const auto news = read();
    EXPECT_TRUE(news.places.empty());
    EXPECT_FALSE(news.lost);
}

TEST_F(TheTcMonitor, TellsOfQdiscsAndFilters) {
    const int a = ifindex("a0");
    for (const char* const command :
         {"tc qdisc add dev a0 clsact", "tc filter add dev a0 egress prio 5 protocol all u32 match u32 0 0 classid 1:1",
          "tc filter del dev a0 egress prio 5", "tc qdisc del dev a0 clsact", "tc qdisc add dev a0 root pfifo",
          "tc qdisc del dev a0 root"}) {
        run(command);
        EXPECT_TRUE(told_of(host_nsid, a)) << command;
    }
}

TEST_F(TheTcMonitor, LeavesOutWhatTheOwnSocketDid) {
    ASSERT_OK(netlink().ensure_clsact(ifindex("a0")));
    EXPECT_TRUE(read(netlink().port()).places.empty());
    ASSERT_OK(netlink().delete_clsact(ifindex("a0")));
    EXPECT_TRUE(told_of(host_nsid, ifindex("a0")));
}

// As soon as somebody asks on the host for a pod's veth, the kernel gives the host an id there.
// Not all kernels then tell the id of the own namespace: natively this may pass whatever TcMonitor does, on 6.18 in the
// virtual machine it does not.
TEST_F(TheTcMonitor, KnowsTheHostByItsIdToo) {
    const auto own = open_netns("/proc/thread-self/ns/net");
    ASSERT_OK(own);
    const auto pod = make_netns();
    ASSERT_OK(netlink().namespace_id(pod.get()));
    run_in(pod, "tc qdisc add dev lo clsact");
    EXPECT_EQ(read().places.size(), 1U) << "when the host has none yet";
    const auto nsid = netlink().namespace_id(own->get());
    ASSERT_OK(nsid);
    run("tc qdisc add dev a0 clsact");
    const auto news = read();
    EXPECT_TRUE(news.places.contains({.nsid = host_nsid, .ifindex = ifindex("a0")}));
    EXPECT_FALSE(news.places.contains({.nsid = *nsid, .ifindex = ifindex("a0")}));
    ASSERT_OK(netlink().delete_clsact(ifindex("a0")));
    EXPECT_TRUE(read(netlink().port()).places.empty()) << "the own socket's";
}

TEST_F(TheTcMonitor, HearsOfANamespaceThatHasAnId) {
    const auto pod = make_netns();
    const auto nsid = netlink().namespace_id(pod.get());
    ASSERT_OK(nsid);
    EXPECT_GE(*nsid, 0);
    const auto again = netlink().namespace_id(pod.get());
    ASSERT_OK(again);
    EXPECT_EQ(*again, *nsid);
    run_in(pod, "ip link add inner type veth peer name other");
    (void)read();
    run_in(pod, "tc qdisc add dev inner root pfifo");
    const auto news = read();
    ASSERT_EQ(news.places.size(), 1U);
    EXPECT_EQ(news.places.begin()->nsid, *nsid);
    const int inner = news.places.begin()->ifindex;
    run_in(pod, "tc qdisc del dev inner root");
    EXPECT_TRUE(told_of(*nsid, inner));
    run_in(pod, "ip link del inner");
    EXPECT_TRUE(told_of(*nsid, inner)) << "a device that goes away";
}

TEST_F(TheTcMonitor, GivesNamespacesDifferentIds) {
    const auto one = make_netns();
    const auto two = make_netns();
    const auto first = netlink().namespace_id(one.get());
    const auto second = netlink().namespace_id(two.get());
    ASSERT_OK(first);
    ASSERT_OK(second);
    EXPECT_NE(*first, *second);
}

TEST_F(TheTcMonitor, DoesNotKeepANamespaceAlive) {
    auto pod = make_netns();
    ASSERT_OK(netlink().namespace_id(pod.get()));
    run("ip link add out type veth peer name in netns /proc/" + std::to_string(::getpid()) + "/fd/" +
        std::to_string(pod.get()));
    pod.reset();
    for (int i = 0; i < 100; ++i) {
        if (::access("/proc/self/net", F_OK) == 0 && run("ip -br link").find("out") == std::string::npos) return;
        ::usleep(50'000);
    }
    FAIL() << "the device's other end, and with it the namespace, is still there";
}

TEST_F(TheTcMonitor, NamespaceIdOfSomethingElseIsAnError) {
    EXPECT_NE(error_of(netlink().namespace_id(-1)).sys, 0);
    EXPECT_NE(error_of(netlink().namespace_id(monitor_->fd())).sys, 0);
}

TEST_F(TheTcMonitor, SaysThatItLostEvents) {
    const int room = 1;  // the kernel makes it its minimum
    ASSERT_EQ(::setsockopt(monitor_->fd(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room), 0);
    for (int i = 0; i < 20; ++i) {
        run("tc qdisc add dev a0 root pfifo");
        run("tc qdisc del dev a0 root");
    }
    EXPECT_TRUE(read().lost);
    EXPECT_FALSE(read().lost);
}

TEST_F(TheTcMonitor, LinkBytesCountWhatADeviceCarried) {
    const auto before = netlink().link_bytes();
    ASSERT_OK(before);
    run("ip addr add 192.0.2.1/24 dev a0");
    run("ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev a0");
    for (int i = 0; i < 3; ++i) run("bash -c 'printf %100s x > /dev/udp/192.0.2.2/9'");
    const auto after = netlink().link_bytes();
    ASSERT_OK(after);
    const auto sent = after->at(ifindex("a0")).sent - before->at(ifindex("a0")).sent;
    EXPECT_EQ(sent, 3U * (14 + 20 + 8 + 100));
    EXPECT_EQ(after->at(ifindex("b0")).received - before->at(ifindex("b0")).received, sent);
}

TEST_F(TheTcMonitor, ClearRootTakesAwayWhateverIsThere) {
    run("tc qdisc add dev a0 root handle 7: pfifo");
    ASSERT_OK(netlink().clear_root(ifindex("a0")));
    EXPECT_EQ(root_of("a0"), "noqueue 0:");
    EXPECT_OK(netlink().clear_root(ifindex("a0")));
}

// A datagram as the kernel would send it.
template <class Fixed> std::vector<std::byte> message(std::uint16_t type, const Fixed& fixed, std::uint32_t port = 0) {
    nlmsghdr header{};
    header.nlmsg_len = static_cast<std::uint32_t>(sizeof header + sizeof fixed);
    header.nlmsg_type = type;
    header.nlmsg_pid = port;
    std::vector<std::byte> out(header.nlmsg_len);
    std::memcpy(out.data(), &header, sizeof header);
    std::memcpy(out.data() + sizeof header, &fixed, sizeof fixed);
    return out;
}

TcChanges collect(const std::vector<std::byte>& datagram, int nsid, std::uint32_t own_port = 0) {
    TcChanges out;
    collect_tc_changes(datagram, nsid, own_port, out);
    return out;
}

TEST(TcMonitorParser, TakesChangesOfTrafficControlAndVanishingDevices) {
    const tcmsg tc{.tcm_ifindex = 7};
    for (const std::uint16_t type :
         {RTM_NEWQDISC, RTM_DELQDISC, RTM_NEWTFILTER, RTM_DELTFILTER, RTM_DELTCLASS, RTM_DELCHAIN})
        EXPECT_TRUE(collect(message(type, tc), 3).places.contains({.nsid = 3, .ifindex = 7})) << type;
    EXPECT_TRUE(collect(message(RTM_NEWTCLASS, tc), 3).places.empty());
    ifinfomsg link{};
    link.ifi_index = 9;
    EXPECT_TRUE(collect(message(RTM_DELLINK, link), 3).places.contains({.nsid = 3, .ifindex = 9}));
    EXPECT_TRUE(collect(message(RTM_NEWLINK, link), 3).places.empty());
    EXPECT_TRUE(collect(message(RTM_DELLINK, link), host_nsid).places.empty()) << "the link monitor's business";
    link.ifi_family = AF_BRIDGE;
    EXPECT_TRUE(collect(message(RTM_DELLINK, link), 3).places.empty());
}

TEST(TcMonitorParser, TrustsAPortOnTheHostOnly) {
    const tcmsg tc{.tcm_ifindex = 7};
    EXPECT_TRUE(collect(message(RTM_DELQDISC, tc, 42), host_nsid, 42).places.empty());
    EXPECT_EQ(collect(message(RTM_DELQDISC, tc, 42), host_nsid, 43).places.size(), 1U);
    EXPECT_EQ(collect(message(RTM_DELQDISC, tc, 42), 0, 42).places.size(), 1U) << "a pod may take any port";
}

TEST(TcMonitorParser, LeavesOutSharedBlocksAndWhatIsCutShort) {
    const tcmsg block{.tcm_ifindex = -1};
    EXPECT_TRUE(collect(message(RTM_NEWTFILTER, block), 3).places.empty());
    auto cut = message(RTM_DELQDISC, tcmsg{.tcm_ifindex = 7});
    for (std::size_t length = 0; length < cut.size(); ++length)
        EXPECT_TRUE(collect({cut.begin(), cut.begin() + static_cast<std::ptrdiff_t>(length)}, 3).places.empty());
}

}  // namespace
}  // namespace natra::datapath::testing
