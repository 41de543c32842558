// SPDX-License-Identifier: Apache-2.0
#include "cni-shim/version.hpp"

#include <gtest/gtest.h>

#include "cni-shim/cni.hpp"
#include "tests/shim/golden.hpp"

namespace natra::shim {
namespace {

struct Floor {
    Verb verb;
    const char* name;
    const char* first;
};
constexpr Floor floors[] = {
    {Verb::check, "CHECK", "0.4.0"}, {Verb::gc, "GC", "1.1.0"}, {Verb::status, "STATUS", "1.1.0"}};

TEST(CheckVersion, AddAndDelTakeEverySupportedVersion) {
    for (const char* version : golden::versions) {
        EXPECT_TRUE(check_version(Verb::add, version)) << version;
        EXPECT_TRUE(check_version(Verb::del, version)) << version;
    }
}

TEST(CheckVersion, LaterVerbsNeedLaterVersions) {
    for (const auto& floor : floors) {
        for (const std::string version : golden::versions) {
            SCOPED_TRACE(concat(floor.name, " ", version));
            const auto r = check_version(floor.verb, version);
            ASSERT_EQ(static_cast<bool>(r), version >= floor.first);
            if (r) continue;
            EXPECT_EQ(r.error().code, CniCode::incompatible_version);
            EXPECT_EQ(r.error().message, concat("config version does not allow ", floor.name));
        }
    }
}

TEST(CheckVersion, OthersAreIncompatible) {
    for (const char* version : {"0.1.0", "0.2.0", "0.5.0", "1.0.1", "1.0", "v1.0.0", "1.0.0 ", "", "x"}) {
        const auto r = check_version(Verb::add, version);
        ASSERT_FALSE(r) << version;
        EXPECT_EQ(r.error().code, CniCode::incompatible_version);
        EXPECT_EQ(r.error().message, "incompatible CNI versions");
        EXPECT_EQ(r.error().details,
                  concat("config is \"", version, R"(", plugin supports ["0.3.0" "0.3.1" "0.4.0" "1.0.0" "1.1.0"])"));
    }
}

TEST(CheckVersion, LaterVerbsSayWhyAVersionIsNoGood) {
    for (const auto& floor : floors) {
        const auto newer = check_version(floor.verb, "1.2.0");
        ASSERT_FALSE(newer);
        EXPECT_EQ(newer.error().message, concat("plugin version does not allow ", floor.name));
        EXPECT_EQ(newer.error().code, CniCode::incompatible_version);
        for (const char* version : {"x", "", "1.x", "1.0.0.0", "1..0", "-1.0.0", "99999999999.0.0"}) {
            const auto r = check_version(floor.verb, version);
            ASSERT_FALSE(r) << version;
            EXPECT_EQ(r.error().code, CniCode::decoding_failure) << version;
        }
    }
    const auto between = check_version(Verb::check, "0.9.0");
    ASSERT_FALSE(between);
    EXPECT_EQ(between.error().message, "incompatible CNI versions");
}

TEST(VersionReply, IsWhatRuntimesExpect) {
    EXPECT_EQ(version_reply(), R"({"cniVersion":"1.1.0","supportedVersions":["0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]})"
                               "\n");
}

}  // namespace
}  // namespace natra::shim
