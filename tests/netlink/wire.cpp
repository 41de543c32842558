// SPDX-License-Identifier: Apache-2.0
#include "tests/netlink/wire.hpp"

#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace natra::datapath::testing {
namespace {

constexpr int protocol = 0x88b5;  // IEEE: for local experiments

bool send_one(int socket) {
    std::array<unsigned char, 1000> frame{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    frame[12] = protocol >> 8;
    frame[13] = protocol & 0xff;
    return ::send(socket, frame.data(), frame.size(), 0) == static_cast<ssize_t>(frame.size());
}

}  // namespace

UniqueFd Wire::open(int ifindex) {
    UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(protocol)));
    EXPECT_TRUE(fd) << std::strerror(errno);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(protocol);
    address.sll_ifindex = ifindex;
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0) << std::strerror(errno);
    return fd;
}

Wire::Wire(UniqueFd sender, UniqueFd receiver) : sender_(std::move(sender)), receiver_(std::move(receiver)) {
    // Room for all of them, so that the limit under test is the qdisc's.
    const int room = 8 << 20;
    EXPECT_EQ(::setsockopt(sender_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room), 0);
    EXPECT_EQ(::setsockopt(receiver_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room), 0);
}

void Wire::send(int frames, unsigned priority) {
    EXPECT_EQ(::setsockopt(sender_.get(), SOL_SOCKET, SO_PRIORITY, &priority, sizeof priority), 0);
    for (int i = 0; i < frames; ++i) EXPECT_TRUE(send_one(sender_.get())) << std::strerror(errno);
}

void Wire::send_what_passes(int frames) {
    for (int i = 0; i < frames; ++i) EXPECT_TRUE(send_one(sender_.get()) || errno == ENOBUFS) << std::strerror(errno);
}

int Wire::receive(int most, int patience_ms) {
    int frames = 0;
    std::array<unsigned char, 2000> buffer{};
    for (pollfd p{receiver_.get(), POLLIN, 0}; frames < most && ::poll(&p, 1, patience_ms) == 1;)
        if (::recv(receiver_.get(), buffer.data(), buffer.size(), 0) > 0) ++frames;
    return frames;
}

}  // namespace natra::datapath::testing
