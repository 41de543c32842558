// SPDX-License-Identifier: Apache-2.0
#include "cni-shim/environment.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace natra::shim {
namespace {

using Variables = std::map<std::string, std::string>;

CniResult<Environment> parse(const Variables& variables) {
    return parse_environment([&](const char* name) -> const char* {
        const auto found = variables.find(name);
        return found == variables.end() ? nullptr : found->second.c_str();
    });
}

Variables complete(const char* command) {
    return {{"CNI_COMMAND", command},
            {"CNI_CONTAINERID", "c1"},
            {"CNI_NETNS", "/run/netns/pod"},
            {"CNI_IFNAME", "eth0"},
            {"CNI_PATH", "/opt/cni/bin"}};
}

Variables with(Variables variables, const char* name, const std::string& value) {
    variables[name] = value;
    return variables;
}

TEST(Environment, ReadsEveryVerb) {
    const std::pair<const char*, Verb> verbs[] = {{"ADD", Verb::add},       {"DEL", Verb::del},
                                                  {"CHECK", Verb::check},   {"GC", Verb::gc},
                                                  {"STATUS", Verb::status}, {"VERSION", Verb::version}};
    for (const auto& [name, verb] : verbs) {
        const auto r = parse(complete(name));
        ASSERT_TRUE(r) << name << ": " << r.error().message;
        EXPECT_EQ(r->verb, verb);
    }
    const auto add = parse(complete("ADD"));
    ASSERT_TRUE(add);
    EXPECT_EQ(add->container_id, "c1");
    EXPECT_EQ(add->netns, "/run/netns/pod");
    EXPECT_EQ(add->interface, "eth0");
    EXPECT_FALSE(add->own_netns_allowed);
}

TEST(Environment, TakesThePodFromCniArgs) {
    const auto r = parse(with(complete("ADD"), "CNI_ARGS",
                              "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;"
                              "K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=0a-1b"));
    ASSERT_TRUE(r);
    EXPECT_EQ(r->pod_namespace, "shop");
    EXPECT_EQ(r->pod_name, "web-0");
    EXPECT_EQ(r->pod_uid, "0a-1b");
}

TEST(Environment, CniArgsOfOthersMayLookLikeAnything) {
    for (const char* text : {"", ";", ";;;", "=", "x", "K8S_POD_NAMES=a", "K8S_POD_NAME", "k8s_pod_name=a"}) {
        const auto r = parse(with(complete("ADD"), "CNI_ARGS", text));
        ASSERT_TRUE(r) << text;
        EXPECT_EQ(r->pod_name, "") << text;
    }
    const auto r = parse(with(complete("ADD"), "CNI_ARGS", "K8S_POD_NAME=a=b;"));
    ASSERT_TRUE(r);
    EXPECT_EQ(r->pod_name, "a=b");
}

struct Missing {
    const char* command;
    const char* names;
};

TEST(Environment, NamesEveryMissingVariable) {
    for (const auto& [command, names] : {Missing{"ADD", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME"},
                                         Missing{"CHECK", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME"},
                                         Missing{"DEL", "CNI_CONTAINERID,CNI_IFNAME"}, Missing{"GC", "CNI_PATH"}}) {
        const auto r = parse({{"CNI_COMMAND", command}, {"CNI_NETNS", ""}});
        ASSERT_FALSE(r) << command;
        EXPECT_EQ(r.error().code, CniCode::invalid_environment);
        EXPECT_EQ(r.error().message, concat("required env variables [", names, "] missing"));
    }
    const auto one = parse(with(complete("ADD"), "CNI_IFNAME", ""));
    ASSERT_FALSE(one);
    EXPECT_EQ(one.error().message, "required env variables [CNI_IFNAME] missing");
}

TEST(Environment, MissingVariablesComeBeforeMalformedOnes) {
    const auto r = parse({{"CNI_COMMAND", "ADD"}, {"CNI_CONTAINERID", "/"}, {"CNI_IFNAME", "eth0"}});
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().message, "required env variables [CNI_NETNS] missing");
}

TEST(Environment, NeedsNoMoreThanTheSpecificationSays) {
    EXPECT_TRUE(parse({{"CNI_COMMAND", "VERSION"}}));
    EXPECT_TRUE(parse({{"CNI_COMMAND", "STATUS"}}));
    EXPECT_TRUE(parse({{"CNI_COMMAND", "GC"}, {"CNI_PATH", "/x"}}));
    EXPECT_TRUE(parse({{"CNI_COMMAND", "DEL"}, {"CNI_CONTAINERID", "c1"}, {"CNI_IFNAME", "eth0"}}));
    auto without_path = complete("ADD");
    without_path.erase("CNI_PATH");
    EXPECT_TRUE(parse(without_path));
}

TEST(Environment, RejectsUnknownVerbs) {
    for (const char* command : {"FOO", "add", "ADD ", "GET", "UPDATE"}) {
        const auto r = parse(complete(command));
        ASSERT_FALSE(r) << command;
        EXPECT_EQ(r.error().code, CniCode::invalid_environment);
        EXPECT_EQ(r.error().message, concat("unknown CNI_COMMAND: ", command));
    }
}

struct Malformed {
    const char* variable;
    std::string value;
    const char* message;
    std::string details;
};

TEST(Environment, RejectsMalformedNames) {
    const Malformed table[] = {
        {"CNI_CONTAINERID", "1234%%%", "invalid characters in containerID", "1234%%%"},
        {"CNI_CONTAINERID", "-leading", "invalid characters in containerID", "-leading"},
        {"CNI_CONTAINERID", "../../etc/passwd", "invalid characters in containerID", "../../etc/passwd"},
        {"CNI_CONTAINERID", "a b", "invalid characters in containerID", "a b"},
        {"CNI_CONTAINERID", "a\n", "invalid characters in containerID", "a\n"},
        {"CNI_IFNAME", "1234567890123456", "interface name is too long",
         "interface name should be less than 16 characters"},
        {"CNI_IFNAME", ".", "interface name is . or ..", ""},
        {"CNI_IFNAME", "..", "interface name is . or ..", ""},
        {"CNI_IFNAME", "a/b", "interface name contains / or : or whitespace characters", ""},
        {"CNI_IFNAME", "a:b", "interface name contains / or : or whitespace characters", ""},
        {"CNI_IFNAME", "a b", "interface name contains / or : or whitespace characters", ""},
        {"CNI_IFNAME", "a\tb", "interface name contains / or : or whitespace characters", ""},
        {"CNI_IFNAME", "a\xff", "CNI_IFNAME is not valid UTF-8", "a\xff"},
    };
    for (const char* command : {"ADD", "CHECK", "DEL"}) {
        for (const auto& c : table) {
            SCOPED_TRACE(concat(command, " ", c.variable, "=", c.value));
            const auto r = parse(with(complete(command), c.variable, c.value));
            ASSERT_FALSE(r);
            EXPECT_EQ(r.error().code, CniCode::invalid_environment);
            EXPECT_EQ(r.error().message, c.message);
            EXPECT_EQ(r.error().details, c.details);
        }
    }
    EXPECT_TRUE(parse(with(complete("ADD"), "CNI_IFNAME", "123456789012345")));
    EXPECT_TRUE(parse(with(complete("ADD"), "CNI_CONTAINERID", "a_b.c-9")));
}

// GC and STATUS come with empty or left-over variables.
TEST(Environment, VerbsWithoutAContainerIgnoreItsVariables) {
    for (const char* command : {"GC", "STATUS", "VERSION"}) {
        auto variables = with(complete(command), "CNI_CONTAINERID", "%%%");
        EXPECT_TRUE(parse(variables)) << command;
        EXPECT_TRUE(parse(with(variables, "CNI_IFNAME", ""))) << command;
    }
}

TEST(Environment, BytesThatAreNoTextStopAddButNotDel) {
    for (const char* variable : {"CNI_NETNS", "CNI_ARGS"}) {
        const auto add = parse(with(complete("ADD"), variable, "K8S_POD_NAME=\xff"));
        ASSERT_FALSE(add) << variable;
        EXPECT_EQ(add.error().message, concat(variable, " is not valid UTF-8"));
        EXPECT_TRUE(parse(with(complete("DEL"), variable, "K8S_POD_NAME=\xff"))) << variable;
    }
}

TEST(Environment, NetnsOverride) {
    for (const char* value : {"1", "true", "TRUE", "True"}) {
        const auto r = parse(with(complete("ADD"), "CNI_NETNS_OVERRIDE", value));
        ASSERT_TRUE(r);
        EXPECT_TRUE(r->own_netns_allowed) << value;
    }
    for (const char* value : {"", "0", "false", "yes"}) {
        const auto r = parse(with(complete("ADD"), "CNI_NETNS_OVERRIDE", value));
        ASSERT_TRUE(r);
        EXPECT_FALSE(r->own_netns_allowed) << value;
    }
}

}  // namespace
}  // namespace natra::shim
