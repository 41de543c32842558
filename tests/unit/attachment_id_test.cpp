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

// A state file is named "<id>.json", and written under a longer name first.
TEST(AttachmentId, FitsAFileNameWhateverTheContainerIsCalled) {
    std::set<std::string> ids;
    for (const std::size_t length : {1, 128, 180, 181, 255, 4000})
        for (const char last : {'a', 'b', '.'}) {
            const auto id = attachment_id(std::string(length, 'c') + last, "123456789.12345");
            EXPECT_LE(id.size(), 235U);
            EXPECT_EQ(id.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"),
                      std::string::npos);
            ids.insert(id);
        }
    EXPECT_EQ(ids.size(), 18U);
    // What is cut cannot be taken for a shorter name.
    const auto cut = attachment_id(std::string(300, 'c'), "eth0");
    EXPECT_NE(attachment_id(cut.substr(0, cut.find("__")), "eth0"), cut);
}

TEST(ContainerId, FollowsTheRulesOfCni) {
    EXPECT_TRUE(valid_container_id("dummy"));
    EXPECT_TRUE(valid_container_id(std::string(64, 'f')));
    EXPECT_TRUE(valid_container_id("cnitool-77383ca0a0715733ca6f"));
    EXPECT_FALSE(valid_container_id(""));
    EXPECT_FALSE(valid_container_id("-leading"));
    EXPECT_FALSE(valid_container_id("a/b"));
    EXPECT_FALSE(valid_container_id("../../etc"));
    // They have no maximum.
    EXPECT_TRUE(valid_container_id(std::string(4000, 'a')));
    EXPECT_TRUE(valid_container_id("a" + std::string(100, '.')));
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
