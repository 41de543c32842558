// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/attachment_id.hpp"

#include <gtest/gtest.h>

#include <set>

namespace natra::pods {
namespace {

TEST(AttachmentId, UsesOnlyCharactersThatPathsOfBothKindsTake) {
    EXPECT_EQ(attachment_id("abc123", "eth0"), "abc123__eth0");
    EXPECT_EQ(attachment_id("a.b-c_d", "net1.5"), "a_2eb_2dc_5fd__net1_2e5");
}

TEST(AttachmentId, DiffersWherePartsDiffer) {
    const std::set<std::string> ids{attachment_id("a", "b_c"), attachment_id("a_b", "c"), attachment_id("a__b", "c"),
                                    attachment_id("a", "_b__c"), attachment_id("a_5f", "c")};
    EXPECT_EQ(ids.size(), 5U);
}

TEST(ContainerId, FollowsTheRulesOfCni) {
    EXPECT_TRUE(valid_container_id("dummy"));
    EXPECT_TRUE(valid_container_id(std::string(64, 'f')));
    EXPECT_TRUE(valid_container_id("cnitool-77383ca0a0715733ca6f"));
    EXPECT_FALSE(valid_container_id(""));
    EXPECT_FALSE(valid_container_id("-leading"));
    EXPECT_FALSE(valid_container_id("a/b"));
    EXPECT_FALSE(valid_container_id("../../etc"));
    EXPECT_FALSE(valid_container_id(std::string(129, 'a')));
    // Escaped it would not fit a file name.
    EXPECT_FALSE(valid_container_id("a" + std::string(100, '.')));
}

TEST(InterfaceName, FollowsTheRulesOfCni) {
    EXPECT_TRUE(valid_interface_name("eth0"));
    EXPECT_TRUE(valid_interface_name("123456789012345"));
    EXPECT_FALSE(valid_interface_name(""));
    EXPECT_FALSE(valid_interface_name("1234567890123456"));
    EXPECT_FALSE(valid_interface_name("."));
    EXPECT_FALSE(valid_interface_name(".."));
    EXPECT_FALSE(valid_interface_name("a/b"));
    EXPECT_FALSE(valid_interface_name("a b"));
    EXPECT_FALSE(valid_interface_name("a:b"));
}

}  // namespace
}  // namespace natra::pods
