// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/link_monitor.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

#include "tests/netlink/world.hpp"

namespace natra::datapath::testing {
namespace {

class LinkMonitor : public World {
protected:
    void SetUp() override {
        World::SetUp();
        auto opened = open_link_monitor();
        ASSERT_OK(opened);
        monitor_ = *std::move(opened);
    }
    bool readable() {
        pollfd p{monitor_.get(), POLLIN, 0};
        return ::poll(&p, 1, 0) == 1;
    }
    static bool contains(const LinkEvents& news, bool deleted, int index, const std::string& name) {
        return std::any_of(news.events.begin(), news.events.end(), [&](const LinkEvent& e) {
            return e.deleted == deleted && e.ifindex == index && e.name == name;
        });
    }
    UniqueFd monitor_;
};

TEST_F(LinkMonitor, IsSilentAndDoesNotBlockWhileNothingHappens) {
    EXPECT_FALSE(readable());
    const auto news = read_link_events(monitor_.get());
    EXPECT_TRUE(news.events.empty());
    EXPECT_FALSE(news.lost);
}

TEST_F(LinkMonitor, TellsOfDevicesThatComeAndGo) {
    run("ip link add c0 type veth peer name d0");
    const int c = ifindex("c0");
    const int d = ifindex("d0");
    EXPECT_TRUE(readable());
    auto news = read_link_events(monitor_.get());
    EXPECT_TRUE(contains(news, false, c, "c0"));
    EXPECT_TRUE(contains(news, false, d, "d0"));
    EXPECT_FALSE(contains(news, true, c, "c0"));
    EXPECT_FALSE(readable());

    run("ip link del c0");
    news = read_link_events(monitor_.get());
    EXPECT_TRUE(contains(news, true, c, "c0"));
    EXPECT_TRUE(contains(news, true, d, "d0"));
    EXPECT_FALSE(news.lost);
}

TEST_F(LinkMonitor, TellsOfADeviceThatMovesAway) {
    const int b = ifindex("b0");
    const auto elsewhere = make_netns();
    run("ip link set b0 netns /proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(elsewhere.get()));
    EXPECT_TRUE(contains(read_link_events(monitor_.get()), true, b, "b0"));
}

TEST_F(LinkMonitor, TakesLeavingABridgeForNoDeletion) {
    run("ip link add br0 type bridge");
    run("ip link set a0 master br0");
    run("ip link set a0 nomaster");
    EXPECT_FALSE(contains(read_link_events(monitor_.get()), true, ifindex("a0"), "a0"));
}

TEST_F(LinkMonitor, SaysThatItLostEvents) {
    const auto set_room = [&](int bytes) {
        ASSERT_EQ(::setsockopt(monitor_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes), 0);
    };
    set_room(1);  // the kernel makes it its minimum
    for (int i = 0; i < 20; ++i) run(i % 2 == 0 ? "ip link set a0 mtu 1400" : "ip link set a0 mtu 1500");
    EXPECT_TRUE(read_link_events(monitor_.get()).lost);
    // And goes on afterwards.
    set_room(1 << 20);
    const int a = ifindex("a0");
    run("ip link del a0");
    const auto news = read_link_events(monitor_.get());
    EXPECT_TRUE(contains(news, true, a, "a0"));
    EXPECT_FALSE(news.lost);
}

TEST_F(LinkMonitor, HoldsWhatABusyNodeTells) {
    constexpr int pods = 200;
    std::string batch;
    for (int i = 0; i < pods; ++i) batch += concat("link add m", i, " type veth peer name n", i, "\n");
    for (int i = 0; i < pods; ++i) batch += concat("link del m", i, "\n");
    run("sh -c 'ip -batch - <<EOF\n" + batch + "EOF'");
    const auto news = read_link_events(monitor_.get());
    EXPECT_FALSE(news.lost);
    EXPECT_EQ(std::count_if(news.events.begin(), news.events.end(), [](const auto& e) { return e.deleted; }), 2 * pods);
}

}  // namespace
}  // namespace natra::datapath::testing
