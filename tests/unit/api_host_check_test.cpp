// SPDX-License-Identifier: Apache-2.0
#include "api/host_check.hpp"

#include <gtest/gtest.h>

namespace natra::api {
namespace {

TEST(HostCheck, TakesAddressesAndThisMachinesNames) {
    for (const auto* const host :
         {"127.0.0.1", "127.0.0.1:9475", "192.0.2.7:80", "[::1]", "[2001:db8::1]:9475", "localhost", "LocalHost:9475",
          "natra.localhost", "node-1", "node-1.example.org:9475"})
        EXPECT_TRUE(is_local_host(host, "node-1.example.org")) << host;
}

TEST(HostCheck, RefusesNamesThatADnsServerDecidesOn) {
    for (const auto* const host :
         {"", ":9475", "evil.example", "localhost.evil.example", "node-1.evil.example", "node-10", "example.org",
          "127.0.0.1.evil.example", "1.2.3", "[::1", "[evil]", "notlocalhost"})
        EXPECT_FALSE(is_local_host(host, "node-1.example.org")) << host;
    EXPECT_FALSE(is_local_host("", "")) << "a machine without a name";
}

}  // namespace
}  // namespace natra::api
