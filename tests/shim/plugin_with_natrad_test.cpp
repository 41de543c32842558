// SPDX-License-Identifier: Apache-2.0
// What the plugin asks of natrad, and what it makes of the answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "daemon/util/error.hpp"
#include "tests/shim/fake_natrad.hpp"
#include "tests/shim/golden.hpp"
#include "tests/shim/plugin.hpp"
#include "tests/shim/pod_netns.hpp"
#include "tests/shim/private_bus.hpp"

namespace natra::shim {
namespace {

using golden::configuration;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Behaviour = FakeNatrad::Behaviour;
using Fields = std::map<std::string, std::string>;
using std::chrono::milliseconds;

constexpr const char* limited = R"("ingressRate": 8000, "ingressBurst": 80, )";
constexpr const char* hasty = R"("ingressRate": 8000, "ingressBurst": 80, "timeoutMs": 300, )";
constexpr const char* file = "c1:eth0.json";

// The rest of a request. The device number and the cookie are the kernel's choice, and the pod has no interface.
Fields without_namespace(Fields request, std::uint64_t inode) {
    EXPECT_EQ(request["NetnsInode"], "t:" + std::to_string(inode));
    for (const char* key : {"NetnsDevice", "NetnsInode", "NetnsCookie"}) request.erase(key);
    return request;
}

class WithNatrad : public ::testing::Test {
protected:
    void SetUp() override {
        plugin_["CNI_NETNS"] = netns_.path();
        plugin_["DBUS_SYSTEM_BUS_ADDRESS"] = bus_.address();
    }

    const PodNetns netns_;
    Plugin plugin_;
    PrivateBus bus_{plugin_.directory()};
};

TEST_F(WithNatrad, AddPassesTheNamespaceAndTheRequest) {
    const FakeNatrad natrad(bus_.address());
    plugin_["CNI_ARGS"] = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_UID=0a";
    const auto r = plugin_.run("ADD", golden::containerd);
    EXPECT_EQ(r.status, 0) << r.out;
    EXPECT_EQ(r.err, "");
    EXPECT_EQ(document(r).dump(), nlohmann::ordered_json::parse(golden::containerd)["prevResult"].dump());
    EXPECT_THAT(plugin_.spooled(), IsEmpty());

    const auto calls = natrad.calls();
    ASSERT_EQ(calls.size(), 1U);
    EXPECT_EQ(calls[0].method, "Attach");
    EXPECT_EQ(calls[0].netns_inode, netns_.inode());
    EXPECT_EQ(without_namespace(calls[0].request, netns_.inode()), (Fields{{"ContainerId", "s:c1"},
                                                                           {"InterfaceName", "s:eth0"},
                                                                           {"Network", "s:cbr0"},
                                                                           {"NetnsPath", "s:" + netns_.path()},
                                                                           {"PodNamespace", "s:shop"},
                                                                           {"PodName", "s:web-0"},
                                                                           {"PodUid", "s:0a"},
                                                                           {"IngressRate", "t:10000000"},
                                                                           {"IngressBurst", "t:4294967295"},
                                                                           {"IngressSource", "s:runtime"},
                                                                           {"HostInterfaces", "as:cni0,veth12ab"},
                                                                           {"BurstPolicy", "s:default"}}));
}

TEST_F(WithNatrad, AddPassesThePinsOfTheConfiguration) {
    const FakeNatrad natrad(bus_.address());
    const auto r =
        plugin_.run("ADD", configuration("1.1.0", R"("ingressRate": 8000, "ingressBurst": 80, "attachMode": "clsact",
        "edtPacing": "off", "shaper": "auto", )"));
    EXPECT_EQ(r.status, 0) << r.out;
    const auto calls = natrad.calls();
    ASSERT_EQ(calls.size(), 1U);
    EXPECT_EQ(calls[0].request.at("AttachMode"), "s:clsact");
    EXPECT_EQ(calls[0].request.at("EdtPacing"), "s:off");
    EXPECT_FALSE(calls[0].request.contains("Shaper"));
}

TEST_F(WithNatrad, CheckPassesTheSame) {
    const FakeNatrad natrad(bus_.address());
    const auto r = plugin_.run("CHECK", golden::crio);
    EXPECT_EQ(r.status, 0) << r.out;
    EXPECT_EQ(r.out, "");
    const auto calls = natrad.calls();
    ASSERT_EQ(calls.size(), 1U);
    EXPECT_EQ(calls[0].method, "Check");
    EXPECT_EQ(calls[0].netns_inode, netns_.inode());
    EXPECT_EQ(without_namespace(calls[0].request, netns_.inode()), (Fields{{"ContainerId", "s:c1"},
                                                                           {"InterfaceName", "s:eth0"},
                                                                           {"Network", "s:crio"},
                                                                           {"NetnsPath", "s:" + netns_.path()},
                                                                           {"EgressRate", "t:5000000"},
                                                                           {"EgressBurst", "t:34359738359"},
                                                                           {"EgressSource", "s:runtime"},
                                                                           {"HostInterfaces", "as:veth77aa"},
                                                                           {"BurstPolicy", "s:default"}}));
}

TEST_F(WithNatrad, DelNamesTheAttachment) {
    const FakeNatrad natrad(bus_.address());
    plugin_["CNI_NETNS"] = "";
    for (int twice = 0; twice < 2; ++twice) {
        const auto r = plugin_.run("DEL", configuration("1.0.0", ""));
        EXPECT_EQ(r.status, 0) << r.out;
        EXPECT_EQ(r.out, "");
        EXPECT_EQ(r.err, "");
    }
    const auto calls = natrad.calls();
    ASSERT_EQ(calls.size(), 2U);
    EXPECT_EQ(calls[0].method, "Detach");
    EXPECT_THAT(calls[0].arguments, ElementsAre("c1", "eth0", "net"));
    EXPECT_THAT(plugin_.spooled(), IsEmpty());
}

TEST_F(WithNatrad, PodsWithoutLimitsDoNotWakeIt) {
    const FakeNatrad natrad(bus_.address());
    EXPECT_EQ(plugin_.run("ADD", configuration("1.1.0", "")).status, 0);
    EXPECT_EQ(plugin_.run("CHECK", configuration("1.1.0", "")).status, 0);
    EXPECT_EQ(plugin_.run("STATUS", configuration("1.1.0", "")).status, 0);
    EXPECT_EQ(plugin_.run("VERSION", "").status, 0);
    EXPECT_THAT(natrad.calls(), IsEmpty());
}

class WithRules : public WithNatrad {
protected:
    void SetUp() override {
        WithNatrad::SetUp();
        std::filesystem::create_directory(plugin_.spool_directory());
        std::ofstream(plugin_.spool_directory() + "/.every-pod");
    }
};

TEST_F(WithRules, ItHearsOfAPodWithoutLimits) {
    const FakeNatrad natrad(bus_.address());
    const auto r = plugin_.run("ADD", configuration("1.1.0", R"("egressRate": 0, )"));
    EXPECT_EQ(r.status, 0) << r.out;
    EXPECT_EQ(r.err, "");
    const auto calls = natrad.calls();
    ASSERT_EQ(calls.size(), 1U);
    EXPECT_EQ(calls[0].method, "Attach");
    EXPECT_EQ(calls[0].request.count("IngressRate"), 0U);
    EXPECT_EQ(calls[0].request.count("IngressSource"), 0U);
    EXPECT_EQ(calls[0].request.at("EgressSource"), "s:conf");
    EXPECT_EQ(calls[0].request.count("EgressRate"), 0U);
}

TEST_F(WithRules, ItsErrorsDoNotStopAPodWithoutLimits) {
    const FakeNatrad natrad(bus_.address(), Behaviour::refuse, "io.natra.Error.Kernel", "no memory");
    const auto r = plugin_.run("ADD", configuration("1.1.0", ""));
    EXPECT_EQ(r.status, 0) << r.out;
    EXPECT_THAT(r.err, HasSubstr("not limited by natrad's rules: "));
    EXPECT_EQ(plugin_.run("ADD", configuration("1.1.0", R"("failurePolicy": "closed", )")).status, 1);
}

TEST_F(WithRules, APodWithoutLimitsWaitsInTheSpool) {
    const auto r = plugin_.run("ADD", configuration("1.1.0", ""));
    EXPECT_EQ(r.status, 0) << r.out;
    EXPECT_THAT(plugin_.spooled(), ElementsAre(file));
    EXPECT_FALSE(plugin_.spooled(file).contains("IngressRate"));
}

TEST_F(WithRules, APodWithoutLimitsPassesWhateverItsNamespace) {
    const FakeNatrad natrad(bus_.address());
    plugin_["CNI_NETNS"] = "/nowhere";
    const auto r = plugin_.run("ADD", configuration("1.1.0", ""));
    EXPECT_EQ(r.status, 0) << r.out;
    EXPECT_THAT(r.err, HasSubstr("not limited by natrad's rules: "));
    EXPECT_THAT(natrad.calls(), IsEmpty());
}

TEST_F(WithNatrad, BothDirectionsAndPoliciesArrive) {
    const FakeNatrad natrad(bus_.address());
    constexpr const char* both =
        R"("ingressRate": 8, "ingressBurst": 9, "egressRate": 16, "egressBurst": 17, "burstPolicy": "runtime",
           "strictInterfaces": true, )";
    const auto r = plugin_.run("ADD", configuration("1.1.0", both));
    EXPECT_EQ(r.status, 0) << r.out;
    ASSERT_EQ(natrad.calls().size(), 1U);
    const auto request = natrad.calls()[0].request;
    EXPECT_EQ(request.at("IngressRate"), "t:8");
    EXPECT_EQ(request.at("IngressBurst"), "t:9");
    EXPECT_EQ(request.at("IngressSource"), "s:conf");
    EXPECT_EQ(request.at("EgressRate"), "t:16");
    EXPECT_EQ(request.at("EgressBurst"), "t:17");
    EXPECT_EQ(request.at("EgressSource"), "s:conf");
    EXPECT_EQ(request.at("BurstPolicy"), "s:runtime");
    EXPECT_EQ(request.at("StrictInterfaces"), "b:true");
}

// What they mean is natrad's to say, so they come along even if they may be nothing.
TEST_F(WithNatrad, AnnotationsArriveAsTheyAre) {
    const FakeNatrad natrad(bus_.address());
    constexpr const char* annotated = R"("runtimeConfig": {"io.kubernetes.cri.pod-annotations":
        {"natra.io/ingress-rate": "fast", "app": "web", "kubernetes.io/egress-bandwidth": "1M"}}, )";
    const auto r = plugin_.run("ADD", configuration("1.1.0", annotated));
    EXPECT_EQ(r.status, 0) << r.out;
    EXPECT_EQ(plugin_.run("CHECK", configuration("1.1.0", annotated)).status, 0);
    ASSERT_EQ(natrad.calls().size(), 2U);
    for (const auto& call : natrad.calls()) {
        EXPECT_EQ(call.request.at("Annotations"), "a{ss}:kubernetes.io/egress-bandwidth=1M,natra.io/ingress-rate=fast");
        EXPECT_FALSE(call.request.contains("IngressRate"));
    }
    const auto zero = concat(R"("ingressRate": 0, )", annotated);
    EXPECT_EQ(plugin_.run("ADD", configuration("1.1.0", zero)).status, 0);
    EXPECT_EQ(natrad.calls().size(), 2U) << "static keys decide by being there";

    plugin_["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=/nonexistent";
    EXPECT_EQ(plugin_.run("ADD", configuration("1.1.0", annotated)).status, 0);
    EXPECT_EQ(plugin_.spooled(file)["Annotations"],
              (nlohmann::json{{"natra.io/ingress-rate", "fast"}, {"kubernetes.io/egress-bandwidth", "1M"}}));
}

TEST_F(WithNatrad, GarbageIsCollectedInOneNetwork) {
    const FakeNatrad natrad(bus_.address());
    for (const char* variable : {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"}) plugin_[variable] = "";
    const std::pair<const char*, std::vector<std::string>> table[] = {
        {R"("cni.dev/valid-attachments": [{"containerID": "a", "ifname": "eth0"}, {"containerID": "b", "ifname": "net1"}], )",
         {"net", "a/eth0", "b/net1"}},
        {R"("cni.dev/attachments": [{"containerID": "a", "ifname": "eth0"}], )", {"net", "a/eth0"}},
        {R"("cni.dev/valid-attachments": null, )", {"net"}},
        {R"("cni.dev/valid-attachments": [], )", {"net"}},
    };
    for (const auto& [keys, arguments] : table) {
        const auto before = natrad.calls().size();
        const auto r = plugin_.run("GC", configuration("1.1.0", keys));
        EXPECT_EQ(r.status, 0) << r.out;
        EXPECT_EQ(r.out + r.err, "");
        ASSERT_EQ(natrad.calls().size(), before + 1) << keys;
        EXPECT_EQ(natrad.calls().back().method, "CollectGarbage");
        EXPECT_EQ(natrad.calls().back().arguments, arguments);
    }
    const auto calls = natrad.calls().size();
    const auto r = plugin_.run("GC", configuration("1.1.0", ""));
    EXPECT_EQ(r.status, 0);
    EXPECT_THAT(r.err, HasSubstr("nothing is removed"));
    EXPECT_EQ(natrad.calls().size(), calls) << "nobody said what is valid";
}

TEST_F(WithNatrad, ContainerNamesHaveNoMaximum) {
    const FakeNatrad natrad(bus_.address());
    const std::string id(4000, 'c');
    plugin_["CNI_CONTAINERID"] = id;
    EXPECT_EQ(plugin_.run("ADD", configuration("1.1.0", limited)).status, 0);
    ASSERT_EQ(natrad.calls().size(), 1U);
    EXPECT_EQ(natrad.calls()[0].request.at("ContainerId"), "s:" + id);
    plugin_["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=/nonexistent";
    EXPECT_EQ(plugin_.run("ADD", configuration("1.1.0", limited)).status, 0);
    ASSERT_EQ(plugin_.spooled().size(), 1U);
    EXPECT_EQ(plugin_.spooled(plugin_.spooled()[0])["ContainerId"], id);
    EXPECT_EQ(plugin_.run("DEL", configuration("1.1.0", limited)).status, 0);
    EXPECT_THAT(plugin_.spooled(), IsEmpty());
}

// An old call in the spool must not be applied after a newer one.
TEST_F(WithNatrad, ANewCallReplacesWhatWaits) {
    for (const char* command : {"ADD", "DEL"}) {
        plugin_["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=/nonexistent";
        plugin_.run("DEL", configuration("1.1.0", limited));
        plugin_.run("ADD", configuration("1.1.0", limited));
        ASSERT_THAT(plugin_.spooled(), ElementsAre(file));
        plugin_["DBUS_SYSTEM_BUS_ADDRESS"] = bus_.address();
        const FakeNatrad natrad(bus_.address());
        EXPECT_EQ(plugin_.run(command, configuration("1.1.0", limited)).status, 0);
        EXPECT_THAT(plugin_.spooled(), IsEmpty()) << command;
    }
}

struct Refusal {
    const char* error;
    const char* text;
    unsigned code;
};

constexpr Refusal refusals[] = {
    {"io.natra.Error.Unsupported",
     "container interface eth0 has no veth peer: interface \"eth0\" was not a veth interface", 999},
    {"io.natra.Error.NoDevice", "could not look up \"eth0\"", 999},
    {"io.natra.Error.InvalidArgument", "IngressRate: 0", 999},
    {"io.natra.Error.AlreadyExists", "attachment c1__eth0: file exists", 999},
    {"io.natra.Error.Kernel", "create qdisc: Operation not permitted", 999},
    {"io.natra.Error.AccessDenied", "Attach: user 65534 may not change limits", 999},
    {"io.natra.Error.SomethingNew", "of a later natrad", 999},
    {"io.natra.Error.Unavailable", "no instance is ready", 11},
};

TEST_F(WithNatrad, ItsErrorsAreTheAnswerOfAdd) {
    for (const auto& refusal : refusals) {
        const FakeNatrad natrad(bus_.address(), Behaviour::refuse, refusal.error, refusal.text);
        const auto error = printed_error(plugin_.run("ADD", configuration("1.1.0", limited)));
        EXPECT_EQ(error.code, refusal.code) << refusal.error;
        EXPECT_EQ(error.message, refusal.text);
        EXPECT_THAT(plugin_.spooled(), IsEmpty()) << "a decision is not to be tried again";
    }
}

TEST_F(WithNatrad, ItsErrorsAreTheAnswerOfCheck) {
    plugin_["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=/nonexistent";
    plugin_.run("ADD", configuration("1.1.0", limited));
    plugin_["DBUS_SYSTEM_BUS_ADDRESS"] = bus_.address();
    const FakeNatrad natrad(bus_.address(), Behaviour::refuse, "io.natra.Error.Mismatch", "Rate doesn't match");
    const auto error = printed_error(plugin_.run("CHECK", configuration("1.1.0", limited)));
    EXPECT_EQ(error.code, 999U) << "natrad knows better than the spool";
    EXPECT_EQ(error.message, "Rate doesn't match");
}

TEST_F(WithNatrad, ADetachThatFailsIsTriedAgainWhileDelSucceeds) {
    const FakeNatrad natrad(bus_.address(), Behaviour::refuse, "io.natra.Error.Kernel", "netlink: No buffer space");
    const auto r = plugin_.run("DEL", configuration("1.1.0", limited));
    EXPECT_EQ(r.status, 0);
    EXPECT_EQ(r.out, "");
    EXPECT_THAT(r.err, HasSubstr("netlink: No buffer space"));
    EXPECT_EQ(plugin_.spooled(file)["Tombstone"], true);
}

TEST_F(WithNatrad, ErrorsOfTheBusAreNotItsDecisions) {
    for (const char* name : {"org.freedesktop.DBus.Error.UnknownMethod", "org.freedesktop.DBus.Error.UnknownObject",
                             "org.freedesktop.DBus.Error.AccessDenied", "org.freedesktop.DBus.Error.LimitsExceeded",
                             "org.freedesktop.systemd1.NoSuchUnit"}) {
        const FakeNatrad natrad(bus_.address(), Behaviour::refuse, name, "the bus says no");
        const auto r = plugin_.run("ADD", configuration("1.1.0", limited));
        EXPECT_EQ(r.status, 0) << r.out;
        EXPECT_THAT(r.err, HasSubstr(concat(name, ": the bus says no")));
        EXPECT_THAT(plugin_.spooled(), ElementsAre(file));
    }
}

TEST_F(WithNatrad, AHangingOneIsGivenUpAtTheDeadline) {
    const FakeNatrad natrad(bus_.address(), Behaviour::hang);
    const auto add = plugin_.run("ADD", configuration("1.1.0", hasty));
    EXPECT_EQ(add.status, 0) << add.out;
    EXPECT_GE(add.elapsed, milliseconds(300));
    EXPECT_LT(add.elapsed, milliseconds(1500));
    EXPECT_THAT(add.err, HasSubstr("no answer within 300 ms"));
    EXPECT_EQ(plugin_.spooled(file)["MayHaveArrived"], true);

    // It may have carried the ADD out, so taking back the file is not enough.
    const auto del = plugin_.run("DEL", configuration("1.1.0", hasty));
    EXPECT_EQ(del.status, 0);
    EXPECT_LT(del.elapsed, milliseconds(1500));
    EXPECT_EQ(plugin_.spooled(file)["Tombstone"], true);

    const auto check = plugin_.run("CHECK", configuration("1.1.0", hasty));
    EXPECT_EQ(printed_error(check).code, 11U);
    EXPECT_LT(check.elapsed, milliseconds(1500));
}

TEST_F(WithNatrad, TheDeadlineIsTwoSecondsByDefault) {
    const FakeNatrad natrad(bus_.address(), Behaviour::hang);
    const auto r = plugin_.run("ADD", configuration("1.1.0", limited));
    EXPECT_EQ(r.status, 0);
    EXPECT_GE(r.elapsed, milliseconds(2000));
    EXPECT_LT(r.elapsed, milliseconds(3000));
}

TEST_F(WithNatrad, OneThatLeavesMidCallIsAway) {
    const FakeNatrad natrad(bus_.address(), Behaviour::disconnect);
    const auto r = plugin_.run("ADD", configuration("1.1.0", limited));
    EXPECT_EQ(r.status, 0) << r.out;
    EXPECT_LT(r.elapsed, milliseconds(1500));
    EXPECT_EQ(natrad.calls().size(), 1U);
    EXPECT_EQ(plugin_.spooled(file)["MayHaveArrived"], true);
}

TEST_F(WithNatrad, ABusThatDiesMidCallIsAway) {
    const FakeNatrad natrad(bus_.address(), Behaviour::hang);
    std::thread killer([&] {
        for (int i = 0; i < 200 && natrad.calls().empty(); ++i) std::this_thread::sleep_for(milliseconds(10));
        bus_.kill();
    });
    constexpr const char* patient = R"("ingressRate": 8, "ingressBurst": 8, "timeoutMs": 10000, )";
    const auto r = plugin_.run("ADD", configuration("1.1.0", patient));
    killer.join();
    EXPECT_EQ(r.status, 0) << r.out;
    EXPECT_LT(r.elapsed, milliseconds(5000));
    EXPECT_EQ(plugin_.spooled(file)["MayHaveArrived"], true);
}

TEST_F(WithNatrad, ClosedPolicyWaitsNoLonger) {
    const FakeNatrad natrad(bus_.address(), Behaviour::hang);
    constexpr const char* closed =
        R"("ingressRate": 8, "ingressBurst": 8, "timeoutMs": 200, "failurePolicy": "closed", )";
    const auto r = plugin_.run("ADD", configuration("1.1.0", closed));
    const auto error = printed_error(r);
    EXPECT_EQ(error.code, 11U);
    EXPECT_EQ(error.message, "natrad does not answer: no answer within 200 ms");
    EXPECT_LT(r.elapsed, milliseconds(1500));
    EXPECT_THAT(plugin_.spooled(), IsEmpty());
}

TEST_F(WithNatrad, StatusAsksItUnderTheClosedPolicy) {
    constexpr const char* closed = R"("failurePolicy": "closed", "timeoutMs": 300, )";
    {
        const FakeNatrad natrad(bus_.address());
        const auto r = plugin_.run("STATUS", configuration("1.1.0", closed));
        EXPECT_EQ(r.status, 0) << r.out;
        EXPECT_EQ(r.out, "");
        ASSERT_EQ(natrad.calls().size(), 1U);
        EXPECT_EQ(natrad.calls()[0].method, "Status");
    }
    {
        const FakeNatrad natrad(bus_.address(), Behaviour::hang);
        const auto error = printed_error(plugin_.run("STATUS", configuration("1.1.0", closed)));
        EXPECT_EQ(error.code, 50U);
        EXPECT_EQ(error.message, "natrad does not answer: no answer within 300 ms");
    }
    const FakeNatrad natrad(bus_.address(), Behaviour::refuse, "io.natra.Error.Internal", "out of order");
    const auto error = printed_error(plugin_.run("STATUS", configuration("1.1.0", closed)));
    EXPECT_EQ(error.code, 50U);
    EXPECT_EQ(error.message, "out of order");
}

}  // namespace
}  // namespace natra::shim
