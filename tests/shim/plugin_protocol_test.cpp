// SPDX-License-Identifier: Apache-2.0
// The plugin's side of the CNI protocol, as far as natrad has no part in it.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/util/error.hpp"
#include "tests/shim/golden.hpp"
#include "tests/shim/plugin.hpp"
#include "tests/shim/pod_netns.hpp"

namespace natra::shim {
namespace {

using golden::configuration;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::ordered_json;

constexpr const char* limited = R"("ingressRate": 8000, "ingressBurst": 80, )";

std::string without_previous_result(std::string_view version, std::string_view keys) {
    return concat(R"({"name": "net", )", keys, R"("cniVersion": ")", version, "\"}");
}

TEST(Plugin, WithoutACommandItIntroducesItself) {
    Plugin plugin;
    const auto r = plugin.run("", "");
    EXPECT_EQ(r.status, 0);
    EXPECT_EQ(r.out, "");
    EXPECT_EQ(r.err, "CNI natra plugin v" NATRA_VERSION
                     "\nCNI protocol versions supported: 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n");
}

TEST(Plugin, AnswersVersionWhateverIsOnStdin) {
    Plugin plugin;
    plugin["CNI_CONTAINERID"] = "%%%";
    plugin["CNI_IFNAME"] = "";
    for (const char* input : {"", "{", R"({"cniVersion": "9.9.9"})"}) {
        const auto r = plugin.run("VERSION", input);
        EXPECT_EQ(r.status, 0);
        EXPECT_EQ(r.out, R"({"cniVersion":"1.1.0","supportedVersions":["0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]})"
                         "\n");
        EXPECT_EQ(r.err, "");
    }
}

TEST(Plugin, PrintsErrorsAsTheGoLibraryDoes) {
    Plugin plugin;
    const auto r = plugin.run("ADD", without_previous_result("1.0.0", R"("ingressRate": 0, "ingressBurst": 123, )"));
    EXPECT_EQ(r.status, 1);
    EXPECT_EQ(r.out, "{\n    \"code\": 999,\n    \"msg\": \"if burst is set, rate must also be set\",\n"
                     "    \"details\": \"ingressRate is 0, ingressBurst is 123\"\n}\n");
    EXPECT_EQ(r.err, "");
}

struct Wrong {
    const char* variable;
    const char* value;
    const char* command;
    std::string input;
    unsigned code;
    const char* message;
};

TEST(Plugin, RejectsWhatIsWrongBeforeItStarts) {
    const std::string good = configuration("1.0.0", "");
    const Wrong table[] = {
        {"CNI_IFNAME", "", "ADD", good, 4, "required env variables [CNI_IFNAME] missing"},
        {"CNI_NETNS", "", "CHECK", good, 4, "required env variables [CNI_NETNS] missing"},
        {"CNI_CONTAINERID", "", "DEL", good, 4, "required env variables [CNI_CONTAINERID] missing"},
        {"CNI_PATH", "", "GC", configuration("1.1.0", ""), 4, "required env variables [CNI_PATH] missing"},
        {"CNI_CONTAINERID", "../x", "ADD", good, 4, "invalid characters in containerID"},
        {"CNI_IFNAME", "\xff\xfe", "ADD", good, 4, "CNI_IFNAME is not valid UTF-8"},
        {"X", "", "FOO", good, 4, "unknown CNI_COMMAND: FOO"},
        {"X", "", "ADD", "", 6, "error unmarshall network config: unexpected end of JSON input"},
        {"X", "", "CHECK", "[]", 6,
         "error unmarshall network config: the configuration: expected an object, got an array"},
        {"X", "", "ADD", R"({"cniVersion": "1.0.0"})", 7, "missing network name"},
        {"X", "", "ADD", R"({"name": "a b", "cniVersion": "1.0.0"})", 7, "invalid characters found in network name"},
        {"X", "", "ADD", R"({"name": "net"})", 1, "incompatible CNI versions"},
        {"X", "", "DEL", without_previous_result("0.2.0", ""), 1, "incompatible CNI versions"},
        {"X", "", "CHECK", configuration("0.3.1", ""), 1, "config version does not allow CHECK"},
        {"X", "", "GC", configuration("1.0.0", ""), 1, "config version does not allow GC"},
        {"X", "", "STATUS", configuration("1.0.0", ""), 1, "config version does not allow STATUS"},
        {"X", "", "STATUS", configuration("1.2.0", ""), 1, "plugin version does not allow STATUS"},
    };
    for (const auto& c : table) {
        SCOPED_TRACE(concat(c.command, " ", c.variable, "=", c.value, " ", c.input));
        Plugin plugin;
        plugin[c.variable] = c.value;
        const auto error = printed_error(plugin.run(c.command, c.input));
        EXPECT_EQ(error.code, c.code);
        EXPECT_EQ(error.message, c.message);
        EXPECT_THAT(plugin.spooled(), IsEmpty());
    }
}

TEST(Plugin, InputBeyondBoundsIsAnErrorNotACrash) {
    Plugin plugin;
    const auto padding = "\"a\": \"" + std::string(2 << 20, 'x') + "\", ";
    const auto large = printed_error(plugin.run("ADD", configuration("1.0.0", padding)));
    EXPECT_EQ(large.code, 6U);
    EXPECT_THAT(large.message, HasSubstr("larger than 1048576 bytes"));
    for (const char* open : {"[", "{\"a\":"}) {
        std::string deep;
        while (deep.size() < 900'000) deep += open;
        EXPECT_EQ(printed_error(plugin.run("ADD", deep)).code, 6U);
        EXPECT_EQ(printed_error(plugin.run("ADD", R"({"name": "n", "prevResult": )" + deep)).code, 6U);
    }
}

TEST(Plugin, AnAnswerThatCannotBeWrittenIsAnError) {
    const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
    Child at_full(spawn({"env", "CNI_COMMAND=VERSION", std::getenv("NATRA_SHIM")}, full.get()));
    EXPECT_EQ(at_full.wait(), 1);
    Pipe broken;
    broken.read.reset();
    Child at_broken(spawn({"env", "CNI_COMMAND=VERSION", std::getenv("NATRA_SHIM")}, broken.write.get()));
    EXPECT_EQ(at_broken.wait(), 1) << "no signal ends it";
}

class EveryVersion : public ::testing::TestWithParam<const char*> {
protected:
    // As the verbs exist in it.
    [[nodiscard]] bool has_check() const { return std::string_view(GetParam()) >= "0.4.0"; }
    Plugin plugin_;
};
INSTANTIATE_TEST_SUITE_P(Cni, EveryVersion, ::testing::ValuesIn(golden::versions), version_name);

// A pod without limits: no natrad, no veth, not even a namespace.
TEST_P(EveryVersion, WithoutLimitsTheResultComesBackAsItWas) {
    for (const char* keys :
         {"", R"("ingressRate": 0, "ingressBurst": 0, )", R"("runtimeConfig": {"bandwidth": null}, )",
          R"("runtimeConfig": {"bandwidth": {"IngressRate": 0, "IngressBurst": 0, "EgressRate": 0}}, )"}) {
        SCOPED_TRACE(keys);
        const auto input = configuration(GetParam(), keys);
        const auto r = plugin_.run("ADD", input);
        EXPECT_EQ(r.status, 0);
        EXPECT_EQ(r.err, "");
        auto expected = Json::parse(input)["prevResult"];
        expected["cniVersion"] = GetParam();
        EXPECT_EQ(document(r).dump(), expected.dump());
        if (!has_check()) continue;
        EXPECT_EQ(plugin_.run("CHECK", input).status, 0);
    }
    EXPECT_THAT(plugin_.spooled(), IsEmpty());
}

TEST_P(EveryVersion, OtherInterfacesPassWithoutLimits) {
    for (const char* result : {R"({"ips": []})", R"({"interfaces": []})", "{}",
                               R"({"interfaces": [{"name": "macvlan0", "sandbox": "/run/netns/pod"}]})"}) {
        const auto input =
            concat(R"({"name": "net", "cniVersion": ")", GetParam(), R"(", "prevResult": )", result, "}");
        const auto r = plugin_.run("ADD", input);
        EXPECT_EQ(r.status, 0) << r.out;
        EXPECT_EQ(document(r)["cniVersion"], GetParam());
    }
}

TEST_P(EveryVersion, MustBeChained) {
    for (const char* keys : {"", limited}) {
        const auto add = printed_error(plugin_.run("ADD", without_previous_result(GetParam(), keys)));
        EXPECT_EQ(add.code, 999U);
        EXPECT_EQ(add.message, "must be called as chained plugin");
        if (!has_check()) continue;
        const auto check = printed_error(plugin_.run("CHECK", without_previous_result(GetParam(), keys)));
        EXPECT_EQ(check.code, 999U);
        EXPECT_EQ(check.message, "must be called as a chained plugin");
    }
}

TEST_P(EveryVersion, WrongLimitsAreErrorsEvenWithoutANamespace) {
    const std::pair<const char*, const char*> table[] = {
        {R"("ingressRate": 0, "ingressBurst": 123, )", "if burst is set, rate must also be set"},
        {R"("egressRate": 100, )", "if rate is set, burst must also be set"},
        {R"("egressRate": 5000, "egressBurst": 34359738368, )", "burst cannot be more than 4GB"},
        {R"("ingressBurst": 123, "runtimeConfig": {"bandWidth": {"ingressRate": 8, "ingressBurst": 8}}, )",
         "if burst is set, rate must also be set"},
        {R"("ingressRate": "10M", )",
         "failed to parse network configuration: ingressRate: expected a non-negative integer below 2^64, got \"10M\""},
    };
    for (const auto& [keys, message] : table) {
        const auto error = printed_error(plugin_.run("ADD", configuration(GetParam(), keys)));
        EXPECT_EQ(error.code, 999U);
        EXPECT_EQ(error.message, message);
        // DEL does not look at them.
        EXPECT_EQ(plugin_.run("DEL", configuration(GetParam(), keys)).status, 0);
    }
}

TEST_P(EveryVersion, WrongKeysOfItsOwnAreErrors) {
    const std::pair<const char*, const char*> table[] = {
        {R"("failurePolicy": "ignore", )", "failurePolicy: expected \"open\" or \"closed\", got \"ignore\""},
        {R"("burstPolicy": 1, )", "burstPolicy: expected \"runtime\" or \"default\", got 1"},
        {R"("timeoutMs": 0, )", "timeoutMs: expected an integer from 1 to 60000, got 0"},
        {R"("strictInterfaces": "yes", )", "strictInterfaces: expected true or false, got \"yes\""},
    };
    for (const auto& [keys, message] : table) {
        const auto error = printed_error(plugin_.run("ADD", configuration(GetParam(), keys)));
        EXPECT_EQ(error.code, 7U);
        EXPECT_EQ(error.message, message);
        EXPECT_EQ(plugin_.run("DEL", configuration(GetParam(), keys)).status, 0);
    }
}

TEST_P(EveryVersion, WithLimitsTheNamespaceMustBeThere) {
    const auto absent = printed_error(plugin_.run("ADD", configuration(GetParam(), limited)));
    EXPECT_EQ(absent.code, 999U);
    EXPECT_EQ(absent.message, "failed to open netns \"/run/netns/natra-test-absent\": No such file or directory");
    plugin_["CNI_NETNS"] = "/dev/null";
    EXPECT_EQ(printed_error(plugin_.run("ADD", configuration(GetParam(), limited))).message,
              "failed to open netns \"/dev/null\": not a network namespace");
    plugin_["CNI_NETNS"] = "/proc/self/ns/mnt";
    EXPECT_EQ(printed_error(plugin_.run("ADD", configuration(GetParam(), limited))).message,
              "failed to open netns \"/proc/self/ns/mnt\": not a network namespace");
    EXPECT_THAT(plugin_.spooled(), IsEmpty()) << "nothing to catch up with for an ADD that failed";
}

TEST_P(EveryVersion, TheHostsOwnNamespaceIsRefused) {
    plugin_["CNI_NETNS"] = "/proc/self/ns/net";
    for (const char* keys : {"", limited}) {
        const auto error = printed_error(plugin_.run("ADD", configuration(GetParam(), keys)));
        EXPECT_EQ(error.code, 8U);
        EXPECT_EQ(error.message, "plugin's netns and netns from CNI_NETNS should not be the same");
    }
    plugin_["CNI_NETNS_OVERRIDE"] = "1";
    EXPECT_EQ(plugin_.run("ADD", configuration(GetParam(), "")).status, 0);
}

TEST_P(EveryVersion, WithLimitsThereMustBeInterfacesIfStrict) {
    const PodNetns netns;
    plugin_["CNI_NETNS"] = netns.path();
    for (const char* result : {"{}", R"({"interfaces": []})"}) {
        const auto input = [&](const char* keys) {
            return concat(R"({"name": "net", )", limited, keys, R"("cniVersion": ")", GetParam(),
                          R"(", "prevResult": )", result, "}");
        };
        const auto error = printed_error(plugin_.run("ADD", input(R"("strictInterfaces": true, )")));
        EXPECT_EQ(error.code, 999U);
        EXPECT_EQ(error.message, "no interfaces provided");
        EXPECT_THAT(plugin_.spooled(), IsEmpty());
        // What there is to limit, the kernel knows.
        const auto lenient = plugin_.run("ADD", input(R"("strictInterfaces": false, )"));
        EXPECT_EQ(lenient.status, 0) << lenient.out;
        plugin_.run("DEL", input(""));
    }
}

TEST_P(EveryVersion, ResultsOfAnotherFormAreRefused) {
    const bool old_form = std::string_view(GetParam()) < "1";
    const auto input = concat(R"({"name": "net", "cniVersion": ")", GetParam(), R"(", "prevResult": {"cniVersion": ")",
                              old_form ? "1.0.0" : "0.4.0", "\"}}");
    const auto error = printed_error(plugin_.run("ADD", input));
    EXPECT_EQ(error.code, 999U);
    EXPECT_THAT(error.message, HasSubstr("could not parse prevResult: result type supports ["));
    EXPECT_EQ(plugin_.run("DEL", input).status, 0);
}

TEST(Plugin, EchoesTheGoldenResults) {
    Plugin plugin;
    for (const char* text : {golden::containerd, golden::crio}) {
        auto input = Json::parse(text);
        input.erase("runtimeConfig");
        const auto r = plugin.run("ADD", input.dump());
        EXPECT_EQ(r.status, 0) << r.out;
        EXPECT_EQ(document(r).dump(), input["prevResult"].dump());
    }
}

// "Nothing is valid" and "nobody said what is valid" differ only in what natrad is asked.
TEST(Plugin, CollectsGarbageWithoutNatrad) {
    Plugin plugin;
    for (const char* variable : {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"}) plugin[variable] = "";
    for (const char* keys : {"", R"("cni.dev/valid-attachments": null, )", R"("cni.dev/valid-attachments": [], )",
                             R"("cni.dev/valid-attachments": [{"containerID": "c1", "ifname": "eth0"}], )"}) {
        const auto r = plugin.run("GC", without_previous_result("1.1.0", keys));
        EXPECT_EQ(r.status, 0) << r.out;
        EXPECT_EQ(r.out, "");
        EXPECT_THAT(r.err, HasSubstr("nothing is removed"));
    }
    const auto closed =
        without_previous_result("1.1.0", R"("failurePolicy": "closed", "cni.dev/valid-attachments": [], )");
    EXPECT_EQ(printed_error(plugin.run("GC", closed)).code, 11U);
    const auto wrong = without_previous_result("1.1.0", R"("cni.dev/valid-attachments": 5, )");
    const auto error = printed_error(plugin.run("GC", wrong));
    EXPECT_EQ(error.code, 7U);
    EXPECT_EQ(error.message, "cni.dev/valid-attachments: expected an array, got 5");
}

}  // namespace
}  // namespace natra::shim
