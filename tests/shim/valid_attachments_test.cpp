// SPDX-License-Identifier: Apache-2.0
#include "cni-shim/valid_attachments.hpp"

#include <gtest/gtest.h>

namespace natra::shim {
namespace {

Json document(const char* text) { return *parse_json(text); }

TEST(ValidAttachments, TellsAbsentFromEmpty) {
    const auto read = [](const char* text) {
        const auto r = read_valid_attachments(document(text));
        EXPECT_TRUE(r) << text;
        return r ? *r : std::nullopt;
    };
    const ValidAttachments none;
    const ValidAttachments one{{"c1", "eth0"}};
    EXPECT_EQ(read(R"({})"), std::nullopt) << "cnitool sends no key";
    EXPECT_EQ(read(R"({"cni.dev/valid-attachments": null})"), none) << "CRI-O without pods";
    EXPECT_EQ(read(R"({"cni.dev/valid-attachments": []})"), none);
    EXPECT_EQ(read(R"({"cni.dev/valid-attachments": [{"containerID": "c1", "ifname": "eth0"}]})"), one);
    EXPECT_EQ(read(R"({"cni.dev/attachments": [{"containerID": "c1", "ifname": "eth0", "x": 1}]})"), one);
    EXPECT_EQ(read(R"({"cni.dev/valid-attachments": [{"ContainerId": "c1", "ifName": "eth0"}],
                       "cni.dev/attachments": []})"),
              one)
        << "the newer name counts";
    EXPECT_EQ(
        read(R"({"cni.dev/attachments": [], "cni.dev/valid-attachments": [{"containerID": "c1", "ifname": "eth0"}]})"),
        one);
}

TEST(ValidAttachments, RejectsNamingTheEntry) {
    const std::pair<const char*, const char*> table[] = {
        {R"({"cni.dev/valid-attachments": {}})", "cni.dev/valid-attachments: expected an array, got an object"},
        {R"({"cni.dev/valid-attachments": [5]})", "cni.dev/valid-attachments[0]: expected an object, got 5"},
        {R"({"cni.dev/valid-attachments": [{"containerID": "a", "ifname": "b"}, {"ifname": "b"}]})",
         "cni.dev/valid-attachments[1].containerID: missing"},
        {R"({"cni.dev/valid-attachments": [{"containerID": null, "ifname": "b"}]})",
         "cni.dev/valid-attachments[0].containerID: missing"},
        {R"({"cni.dev/attachments": [{"containerID": "a", "ifname": 3}]})",
         "cni.dev/attachments[0].ifname: expected a string, got 3"},
        {R"({"cni.dev/attachments": [{"containerID": "a\u0000b", "ifname": "b"}]})",
         "cni.dev/attachments[0].containerID: expected a name, got \"a\\u0000b\""},
    };
    for (const auto& [text, message] : table) {
        const auto r = read_valid_attachments(document(text));
        ASSERT_FALSE(r) << text;
        EXPECT_EQ(r.error().message, message);
        EXPECT_EQ(r.error().code, CniCode::invalid_configuration);
    }
}

}  // namespace
}  // namespace natra::shim
