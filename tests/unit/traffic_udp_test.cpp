// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "tests/tools/udp.hpp"

namespace natra::traffic {
namespace {

TEST(WireBytes, HeadersOfOneFrame) {
    EXPECT_EQ(wire_bytes(1000, AF_INET), 1000U + 8 + 20 + 14);
    EXPECT_EQ(wire_bytes(1000, AF_INET6), 1000U + 8 + 40 + 14);
    EXPECT_EQ(wire_bytes(1472, AF_INET), 1514U);
    EXPECT_EQ(wire_bytes(1452, AF_INET6), 1514U);
}

TEST(WireBytes, HeadersOfEveryFragment) {
    EXPECT_EQ(wire_bytes(1473, AF_INET), 1473U + 8 + 2 * (20 + 14));
    EXPECT_EQ(wire_bytes(1453, AF_INET6), 1453U + 8 + 2 * (40 + 8 + 14));
    EXPECT_EQ(wire_bytes(4000, AF_INET), 4000U + 8 + 3 * (20 + 14));
}

}  // namespace
}  // namespace natra::traffic
