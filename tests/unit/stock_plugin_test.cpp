// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/stock_plugin.hpp"

#include <gtest/gtest.h>

#include "daemon/pods/digest.hpp"

namespace natra::pods {
namespace {

// FIPS 180-4's example.
TEST(Digest, IsSha512) {
    EXPECT_EQ(sha512_hex("abc"), "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                                 "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

// The name in upstream's own tests.
TEST(StockPlugin, NamesItsIfbAfterNetworkAndContainer) {
    EXPECT_EQ(stock_ifb_name("cni-plugin-bandwidth-test", "dummy"), "bwpa8eda89404b7");
}

}  // namespace
}  // namespace natra::pods
