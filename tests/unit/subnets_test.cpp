// SPDX-License-Identifier: Apache-2.0
#include "daemon/limits/subnets.hpp"

#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <netinet/in.h>

#include "daemon/pods/subnets.hpp"

namespace natra::limits {
namespace {

TEST(Subnet, IsReadAndPrintedWithoutHostBits) {
    const std::pair<const char*, const char*> table[] = {
        {"10.0.0.0/8", "10.0.0.0/8"},
        {"10.11.12.13/8", "10.0.0.0/8"},
        {"192.168.255.255/20", "192.168.240.0/20"},
        {"1.2.3.4/32", "1.2.3.4/32"},
        {"255.255.255.255/0", "0.0.0.0/0"},
        {"fd00:1::1/32", "fd00:1::/32"},
        {"2001:db8::ffff/127", "2001:db8::fffe/127"},
        {"::1/128", "::1/128"},
        {"ffff::/0", "::/0"},
    };
    for (const auto& [text, printed] : table) {
        const auto r = parse_subnet(text);
        ASSERT_TRUE(r) << text;
        EXPECT_EQ(to_string(*r), printed);
    }
}

TEST(Subnet, OtherTextsAreErrorsInGosWords) {
    for (const char* text : {"hello", "", "/", "10.0.0.0", "10.0.0.0/", "/8", "10.0.0.0/33", "10.0.0.0/-1",
                             "10.0.0.0/+8", "10.0.0/8", "010.0.0.0.0/8", "10.0.0.0/8 ", " 10.0.0.0/8", "10.0.0.0/8/8",
                             "fd00::/129", "fd00:::/8", "fd00::%eth0/64", "10.0.0.0/99999999999999999999"}) {
        const auto r = parse_subnet(text);
        ASSERT_FALSE(r) << text;
        EXPECT_EQ(r.error().what, concat("invalid CIDR address: ", text));
    }
    EXPECT_FALSE(parse_subnet(std::string_view("10.0.0.0\0/8", 11)));
}

TEST(SubnetRules, HaveUpstreamsErrors) {
    const std::vector<std::string> good{"10.0.0.0/8"};
    const std::vector<std::string> bad{"10.0.0.0/8", "hello"};
    EXPECT_TRUE(parse_subnet_rules({}, {}));
    EXPECT_EQ(parse_subnet_rules(good, {})->shaped.size(), 1U);
    EXPECT_EQ(parse_subnet_rules({}, good)->unshaped.size(), 1U);
    EXPECT_EQ(parse_subnet_rules(good, good).error().what,
              "unshapedSubnets and shapedSubnets cannot be both specified, one of them should be discarded");
    for (const auto& r : {parse_subnet_rules(bad, {}), parse_subnet_rules({}, bad)})
        EXPECT_EQ(r.error().what, "bad subnet \"hello\" provided, details invalid CIDR address: hello");
    EXPECT_TRUE(parse_subnet_rules(std::vector<std::string>(16, "::/0"), {}));
    EXPECT_FALSE(parse_subnet_rules(std::vector<std::string>(17, "::/0"), {}));
}

TEST(SubnetTable, HasNothingButWhatWasAskedFor) {
    const auto none = pods::to_table({});
    EXPECT_EQ(none.mode, static_cast<unsigned>(NATRA_SUBNETS_ANY));
    const auto table = pods::to_table(*parse_subnet_rules({"10.0.0.0/9", "fd00::/65"}, {}));
    EXPECT_EQ(table.mode, static_cast<unsigned>(NATRA_SUBNETS_SHAPED));
    EXPECT_EQ(table.subnet[0].ethertype, htons(ETH_P_IP));
    EXPECT_EQ(table.subnet[0].mask[0], htonl(0xff800000));
    EXPECT_EQ(table.subnet[0].mask[1], 0U);
    EXPECT_EQ(table.subnet[1].ethertype, htons(ETH_P_IPV6));
    EXPECT_EQ(table.subnet[1].mask[0], ~0ULL);
    EXPECT_EQ(table.subnet[1].mask[1], 0x80U);  // the first byte of eight
    for (std::size_t i = 2; i < NATRA_SUBNETS; ++i) EXPECT_EQ(table.subnet[i].ethertype, NATRA_SUBNET_UNUSED);
    static_assert(max_subnets == NATRA_SUBNETS);
}

}  // namespace
}  // namespace natra::limits
