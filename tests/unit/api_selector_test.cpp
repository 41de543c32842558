// SPDX-License-Identifier: Apache-2.0
#include "api/selector.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "daemon/pods/attachment_id.hpp"

namespace natra::api {
namespace {

using nlohmann::json;
using Pods = std::map<std::string, pods::Pod>;

void add(Pods& to, const std::string& container, const std::string& interface, const std::string& name_space,
         const std::string& name) {
    pods::Pod pod{.id = pods::attachment_id(container, interface)};
    pod.request.container_id = container;
    pod.request.interface_name = interface;
    pod.request.pod_namespace = name_space;
    pod.request.pod_name = name;
    to[pod.id] = pod;
}

class Select : public testing::Test {
protected:
    void SetUp() override {
        add(pods_, "0a1b", "eth0", "shop", "web-0");
        add(pods_, "0a2b", "eth0", "shop", "web-1");
        add(pods_, "0a2b", "net1", "shop", "web-1");
        add(pods_, "0a", "eth0", "", "");
    }
    std::string selected(const std::string& name, const std::string& interface = {}) {
        const auto out = select(pods_, name, interface);
        return std::holds_alternative<const pods::Pod*>(out) ? std::get<const pods::Pod*>(out)->id : "";
    }
    json refused(int status, const std::string& name, const std::string& interface = {}) {
        const auto out = select(pods_, name, interface);
        if (!std::holds_alternative<Response>(out)) return {};
        EXPECT_EQ(std::get<Response>(out).status, status) << name;
        return json::parse(std::get<Response>(out).body);
    }

    Pods pods_;
};

TEST_F(Select, ByEveryName) {
    EXPECT_EQ(selected("0a2b__net1"), "0a2b__net1");
    EXPECT_EQ(selected("0a1b"), "0a1b__eth0");
    EXPECT_EQ(selected("0a1"), "0a1b__eth0");
    EXPECT_EQ(selected("shop/web-0"), "0a1b__eth0");
    EXPECT_EQ(selected("shop/web-1", "net1"), "0a2b__net1");
    EXPECT_EQ(selected("0a2", "eth0"), "0a2b__eth0");
}

TEST_F(Select, AWholeContainerIdIsNoPrefixOfAnother) { EXPECT_EQ(selected("0a"), "0a__eth0"); }

TEST_F(Select, NamesTheCandidates) {
    const auto problem = refused(409, "shop/web-1");
    ASSERT_EQ(problem.at("candidates").size(), 2U);
    EXPECT_EQ(problem.at("candidates")[1].at("id"), "0a2b__net1");
    EXPECT_EQ(problem.at("candidates")[1].at("interface"), "net1");
    EXPECT_EQ(refused(409, "0").at("candidates").size(), 4U);
}

TEST_F(Select, NamesAFewOfMany) {
    for (int i = 0; i < 100; ++i) add(pods_, "f" + std::to_string(i), "eth0", "", "");
    EXPECT_EQ(refused(409, "f").at("candidates").size(), 20U);
}

TEST_F(Select, SaysWhatIsNotThere) {
    EXPECT_EQ(refused(404, "shop/web").at("value"), "shop/web");
    refused(404, "/");
    refused(404, "0a1b", "net1");
    refused(404, "1b");
}

}  // namespace
}  // namespace natra::api
