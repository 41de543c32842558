// SPDX-License-Identifier: Apache-2.0
#include "tests/netlink/wire.hpp"

#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace natra::datapath::testing {
namespace {

constexpr int own_protocol = 0x88b5;  // IEEE: for local experiments
constexpr int ipv4_protocol = 0x0800;

int protocol_of(Wire::Kind kind) { return kind == Wire::Kind::tcp ? ipv4_protocol : own_protocol; }

using Frame = std::array<unsigned char, Wire::frame_bytes>;

Frame frame_of(Wire::Kind kind) {
    Frame frame{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    const int protocol = protocol_of(kind);
    frame[12] = static_cast<unsigned char>(protocol >> 8);
    frame[13] = static_cast<unsigned char>(protocol & 0xff);
    if (kind == Wire::Kind::own) return frame;
    // From 192.0.2.1 to 192.0.2.2, port 1 to port 2. Nobody computes the checksums.
    constexpr int ip_bytes = Wire::frame_bytes - 14;
    constexpr std::array<unsigned char, 40> headers{0x45,
                                                    0,
                                                    ip_bytes >> 8,
                                                    ip_bytes & 0xff,
                                                    0,
                                                    0,
                                                    0,
                                                    0,
                                                    64,
                                                    IPPROTO_TCP,
                                                    0,
                                                    0,
                                                    192,
                                                    0,
                                                    2,
                                                    1,
                                                    192,
                                                    0,
                                                    2,
                                                    2,
                                                    0,
                                                    1,
                                                    0,
                                                    2,
                                                    0,
                                                    0,
                                                    0,
                                                    0,
                                                    0,
                                                    0,
                                                    0,
                                                    0,
                                                    0x50,
                                                    0x10};
    std::copy(headers.begin(), headers.end(), frame.begin() + 14);
    return frame;
}

}  // namespace

bool Wire::send_one() const {
    const auto frame = frame_of(kind_);
    return ::send(sender_.get(), frame.data(), frame.size(), 0) == static_cast<ssize_t>(frame.size());
}

UniqueFd Wire::open(int ifindex, Kind kind) {
    const auto protocol = htons(static_cast<std::uint16_t>(protocol_of(kind)));
    UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, protocol));
    EXPECT_TRUE(fd) << std::strerror(errno);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = protocol;
    address.sll_ifindex = ifindex;
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0) << std::strerror(errno);
    return fd;
}

Wire::Wire(UniqueFd sender, UniqueFd receiver, Kind kind)
    : kind_(kind), sender_(std::move(sender)), receiver_(std::move(receiver)) {
    // Room for all of them, so that the limit under test is the qdisc's.
    const int room = 8 << 20;
    EXPECT_EQ(::setsockopt(sender_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room), 0);
    EXPECT_EQ(::setsockopt(receiver_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room), 0);
}

void Wire::send(int frames, unsigned priority) {
    EXPECT_EQ(::setsockopt(sender_.get(), SOL_SOCKET, SO_PRIORITY, &priority, sizeof priority), 0);
    for (int i = 0; i < frames; ++i) EXPECT_TRUE(send_one()) << std::strerror(errno);
}

int Wire::send_what_passes(int frames) {
    int passed = 0;
    for (int i = 0; i < frames; ++i) {
        const bool sent = send_one();
        EXPECT_TRUE(sent || errno == ENOBUFS) << std::strerror(errno);
        passed += sent ? 1 : 0;
    }
    return passed;
}

int Wire::receive(int most, int patience_ms) {
    int frames = 0;
    std::array<unsigned char, 2000> buffer{};
    for (pollfd p{receiver_.get(), POLLIN, 0}; frames < most && ::poll(&p, 1, patience_ms) == 1;)
        if (::recv(receiver_.get(), buffer.data(), buffer.size(), 0) > 0) ++frames;
    return frames;
}

}  // namespace natra::datapath::testing
