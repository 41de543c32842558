// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <poll.h>

#include "tests/tools/dns_responder.hpp"

namespace natra::traffic {
namespace {

TEST(DnsResponder, AnswersWithTheChosenSize) {
    for (const auto* host : {"127.0.0.1", "::1"}) {
        const int family = ip_address(host, 1)->family();
        auto responder = DnsResponder::open(family, 1200);
        ASSERT_TRUE(responder) << responder.error().what;
        (*responder)->start();
        const auto to = *ip_address(host, (*responder)->port());
        const UniqueFd fd(::socket(family, SOCK_DGRAM, 0));
        ASSERT_EQ(::connect(fd.get(), to.get(), to.length), 0);
        ASSERT_EQ(::send(fd.get(), "query", 5, 0), 5);
        ASSERT_TRUE(wait_for(fd.get(), POLLIN, Clock::now() + std::chrono::seconds(10)));
        char drop = 0;
        EXPECT_EQ(::recv(fd.get(), &drop, 1, MSG_TRUNC), 1200);
        EXPECT_EQ((*responder)->report()["arrived_queries"], 1);
    }
}

TEST(DnsResponder, RefusesSizesThatNeedFragments) {
    EXPECT_FALSE(DnsResponder::open(AF_INET, 0));
    EXPECT_FALSE(DnsResponder::open(AF_INET, max_dns_size + 1));
}

}  // namespace
}  // namespace natra::traffic
