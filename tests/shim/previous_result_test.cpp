// SPDX-License-Identifier: Apache-2.0
#include "daemon/cni/previous_result.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cni-shim/cni.hpp"
#include "tests/shim/golden.hpp"

namespace natra::shim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Json parse(std::string_view text) {
    auto r = parse_json(text);
    if (!r) throw std::invalid_argument(r.error().what);
    return *std::move(r);
}

TEST(HostInterfaces, AreThoseWithoutASandbox) {
    const auto r = host_interfaces(parse(golden::containerd)["prevResult"]);
    ASSERT_TRUE(r) << r.error().message;
    EXPECT_THAT(*r, ElementsAre("cni0", "veth12ab"));
    const auto spelled = host_interfaces(parse(R"({"Interfaces": [
        {"Name": "a", "Sandbox": ""}, {"NAME": "b", "sandbox": null}, {"name": "c", "SANDBOX": "/x"}]})"));
    ASSERT_TRUE(spelled);
    EXPECT_THAT(*spelled, ElementsAre("a", "b"));
}

TEST(HostInterfaces, MayBeNone) {
    const auto r = host_interfaces(parse(R"({"interfaces": [{"name": "eth0", "sandbox": "/x"}, {"name": ""}, {},
                                             {"name": "a\u0000b"}]})"));
    ASSERT_TRUE(r) << r.error().message;
    EXPECT_THAT(*r, IsEmpty());
}

TEST(HostInterfaces, NeedNoList) {
    for (const char* text : {"{}", R"({"interfaces": []})", R"({"interfaces": null})", R"({"ips": []})"}) {
        const auto r = host_interfaces(parse(text));
        ASSERT_TRUE(r) << text << r.error().message;
        EXPECT_THAT(*r, IsEmpty());
        EXPECT_FALSE(lists_interfaces(parse(text)));
    }
    EXPECT_TRUE(lists_interfaces(parse(R"({"Interfaces": [{}]})")));
}

TEST(HostInterfaces, RejectsWhatIsMalformed) {
    const std::pair<const char*, const char*> table[] = {
        {R"({"interfaces": {}})", "interfaces: expected an array, got an object"},
        {R"({"interfaces": [5]})", "interfaces[0]: expected an object, got 5"},
        {R"({"interfaces": [{}, {"name": 5}]})", "interfaces[1].name: expected a string, got 5"},
        {R"({"interfaces": [{"name": "a", "sandbox": []}]})", "interfaces[0].sandbox: expected a string, got an array"},
    };
    for (const auto& [text, message] : table) {
        const auto r = host_interfaces(parse(text));
        ASSERT_FALSE(r) << text;
        EXPECT_EQ(r.error().message, concat("could not parse prevResult: ", message));
        EXPECT_EQ(r.error().code, CniCode::internal);
    }
}

TEST(PrintResult, KeepsEveryKeyInItsPlace) {
    constexpr const char* came = R"({"zeta":[1,2.5,-3,18446744073709551615,null,true],"cniVersion":"1.0.0",)"
                                 R"("interfaces":[{"name":"eth0","unknown":{"b":1,"a":"ä\"<>&"}}],"alpha":""})";
    const auto printed = print_result(parse(came), "1.1.0");
    EXPECT_EQ(parse(printed).dump(), R"({"zeta":[1,2.5,-3,18446744073709551615,null,true],"cniVersion":"1.1.0",)"
                                     R"("interfaces":[{"name":"eth0","unknown":{"b":1,"a":"ä\"<>&"}}],"alpha":""})");
    EXPECT_TRUE(printed.starts_with("{\n    \"zeta\"")) << printed;
}

TEST(PrintResult, SetsOneVersion) {
    EXPECT_EQ(parse(print_result(parse(R"({"ips": []})"), "0.4.0")).dump(), R"({"ips":[],"cniVersion":"0.4.0"})");
    EXPECT_EQ(parse(print_result(parse("{}"), "0.3.0")).dump(), R"({"cniVersion":"0.3.0"})");
    // A Go reader would take the last spelling.
    EXPECT_EQ(parse(print_result(parse(R"({"CNIVersion": "1.0.0", "a": 1, "cniversion": "1.0.0"})"), "1.1.0")).dump(),
              R"({"cniVersion":"1.1.0","a":1})");
}

}  // namespace
}  // namespace natra::shim
