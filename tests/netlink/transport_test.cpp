// SPDX-License-Identifier: Apache-2.0
// Requests and answers, whatever they are about.
#include <gmock/gmock.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

#include "tests/netlink/faults.hpp"
#include "tests/netlink/world.hpp"

namespace natra::datapath::testing {
namespace {

using ::testing::HasSubstr;
using Transport = World;

TEST_F(Transport, ErrorsNameTheObjectAndQuoteTheKernel) {
    run("tc qdisc add dev a0 root handle 7: pfifo");
    const auto error = error_of(netlink().add_htb(ifindex("a0"), {.rate_bps = 1000}));
    EXPECT_EQ(error.sys, EEXIST);
    EXPECT_THAT(error.what, HasSubstr("htb"));
    EXPECT_THAT(error.what, HasSubstr(std::to_string(ifindex("a0"))));
    EXPECT_THAT(error.what, HasSubstr("File exists"));

    const auto lost = error_of(netlink().add_bpf_filter(ifindex("b0"), 0xfffffff3, 0, -1, "natra"));
    EXPECT_THAT(lost.what, HasSubstr("natra"));
    EXPECT_THAT(lost.what, HasSubstr("(Parent Qdisc doesn't exists)"));  // the kernel's words
}

TEST_F(Transport, TruncatesNothingThatIsTooLong) {
    const auto error = error_of(netlink().add_bpf_filter(ifindex("a0"), 0xfffffff3, 0, -1, std::string(5000, 'n')));
    EXPECT_EQ(error.code, Error::Code::invalid_argument);
    // The socket is as good as before.
    EXPECT_OK(netlink().link_by_name("a0"));
}

TEST_F(Transport, AsksAgainForADumpThatWasInterrupted) {
    const auto undisturbed = netlink().qdiscs(ifindex("a0"));
    ASSERT_OK(undisturbed);
    const InterruptedDumps interrupted(3);
    const auto qdiscs = netlink().qdiscs(ifindex("a0"));
    ASSERT_OK(qdiscs);
    EXPECT_EQ(interrupted.left(), 0);
    EXPECT_EQ(qdiscs->size(), undisturbed->size());
}

TEST_F(Transport, GivesUpOnADumpThatIsAlwaysInterrupted) {
    const InterruptedDumps interrupted(1000);
    const auto error = error_of(netlink().qdiscs(ifindex("a0")));
    EXPECT_EQ(error.code, Error::Code::unavailable);
}

TEST_F(Transport, DoesNotWaitForeverForAnAnswer) {
    const auto start = std::chrono::steady_clock::now();
    {
        const SwallowedRequests swallowed;
        EXPECT_EQ(error_of(netlink().link_by_name("a0")).code, Error::Code::unavailable);
    }
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(8));
    EXPECT_OK(netlink().link_by_name("a0"));
}

// A pod with CAP_NET_ADMIN can send to the port of a socket that natrad has in its namespace.
TEST_F(Transport, BelievesOnlyTheKernel) {
    struct {
        nlmsghdr header;
        nlmsgerr error;
    } forged{};
    forged.header.nlmsg_len = sizeof forged;
    forged.header.nlmsg_type = NLMSG_ERROR;
    forged.header.nlmsg_seq = 1;
    forged.error.error = -EPERM;

    auto fresh = Netlink::open();
    ASSERT_OK(fresh);
    const UniqueFd rogue(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    // Every socket of the namespace that this process has: the kernel gives them the process id or a negative number.
    int reached = 0;
    for (const auto& line : [] {
             std::vector<std::string> ports;
             std::istringstream table(run("cat /proc/thread-self/net/netlink"));
             std::string address;
             std::string protocol;
             std::string port;
             for (std::string text; std::getline(table, text);)
                 if (std::istringstream(text) >> address >> protocol >> port && protocol == "0") ports.push_back(port);
             return ports;
         }()) {
        sockaddr_nl to{};
        to.nl_family = AF_NETLINK;
        to.nl_pid = static_cast<std::uint32_t>(std::stoul(line));
        if (to.nl_pid == 0) continue;
        if (::sendto(rogue.get(), &forged, sizeof forged, 0, reinterpret_cast<sockaddr*>(&to), sizeof to) > 0)
            ++reached;
    }
    EXPECT_GE(reached, 2);  // the fixture's socket and the fresh one
    const auto link = fresh->link_by_name("a0");
    ASSERT_OK(link);
    EXPECT_EQ(link->name, "a0");
}

}  // namespace
}  // namespace natra::datapath::testing
