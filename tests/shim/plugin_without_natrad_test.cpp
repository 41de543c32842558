// SPDX-License-Identifier: Apache-2.0
// natrad, or the bus, is away: pods start, and natrad hears of it later.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "daemon/util/error.hpp"
#include "daemon/util/files.hpp"
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
using Json = nlohmann::json;
using std::chrono::milliseconds;

constexpr const char* limited = R"("ingressRate": 8000, "ingressBurst": 80, )";
constexpr const char* closed = R"("ingressRate": 8000, "ingressBurst": 80, "failurePolicy": "closed", )";
constexpr const char* file = "c1:eth0.json";

class AwayNow : public ::testing::Test {
protected:
    void SetUp() override { plugin_["CNI_NETNS"] = netns_.path(); }

    void expect_let_through(const Outcome& outcome, const std::string& input) {
        EXPECT_EQ(outcome.status, 0) << outcome.out;
        auto expected = nlohmann::ordered_json::parse(input)["prevResult"];
        expected["cniVersion"] = nlohmann::ordered_json::parse(input)["cniVersion"];
        EXPECT_EQ(document(outcome).dump(), expected.dump());
        EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
        EXPECT_THAT(outcome.err, HasSubstr("natra: c1/eth0: natrad does not answer ("));
    }

    static void write(const std::string& path) {
        std::filesystem::create_directories(std::filesystem::path(path).parent_path());
        std::ofstream(path) << "x";
    }

    const PodNetns netns_;
    Plugin plugin_;
};

class Away : public AwayNow, public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Cni, Away, ::testing::ValuesIn(golden::versions), version_name);

TEST_P(Away, AddSucceedsAndWaitsInTheSpool) {
    plugin_["CNI_ARGS"] = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_UID=0a";
    const auto input = configuration(GetParam(), limited);
    expect_let_through(plugin_.run("ADD", input), input);
    EXPECT_THAT(plugin_.spooled(), ElementsAre(file));
    auto waiting = plugin_.spooled(file);
    EXPECT_EQ(waiting["NetnsInode"], netns_.inode());
    for (const char* key : {"NetnsDevice", "NetnsInode", "NetnsCookie"}) waiting.erase(key);
    EXPECT_EQ(waiting, (Json{{"ContainerId", "c1"},
                             {"InterfaceName", "eth0"},
                             {"Network", "net"},
                             {"NetnsPath", netns_.path()},
                             {"PodNamespace", "shop"},
                             {"PodName", "web-0"},
                             {"PodUid", "0a"},
                             {"IngressRate", 8000},
                             {"IngressBurst", 80},
                             {"IngressSource", "conf"},
                             {"HostInterfaces", {"veth1"}},
                             {"BurstPolicy", "default"}}));
    struct stat status {};
    ASSERT_EQ(::stat((plugin_.spool_directory() + "/" + file).c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0600U);
}

TEST_P(Away, ASecondAddReplacesTheFirst) {
    plugin_.run("ADD", configuration(GetParam(), limited));
    constexpr const char* other = R"("egressRate": 16000, "egressBurst": 90, "burstPolicy": "runtime", )";
    plugin_.run("ADD", configuration(GetParam(), other));
    EXPECT_THAT(plugin_.spooled(), ElementsAre(file));
    const auto waiting = plugin_.spooled(file);
    EXPECT_FALSE(waiting.contains("IngressRate"));
    EXPECT_EQ(waiting["EgressRate"], 16000);
    EXPECT_EQ(waiting["EgressBurst"], 90);
    EXPECT_EQ(waiting["BurstPolicy"], "runtime");
}

TEST_P(Away, ClosedPolicyMakesAddFail) {
    const auto error = printed_error(plugin_.run("ADD", configuration(GetParam(), closed)));
    EXPECT_EQ(error.code, 11U);
    EXPECT_EQ(error.message, "natrad does not answer: system bus: No such file or directory");
    EXPECT_THAT(plugin_.spooled(), IsEmpty());
}

TEST_P(Away, DelTakesBackWhatAddLeft) {
    const auto input = configuration(GetParam(), limited);
    plugin_.run("ADD", input);
    const auto r = plugin_.run("DEL", input);
    EXPECT_EQ(r.status, 0);
    EXPECT_EQ(r.out, "");
    EXPECT_THAT(plugin_.spooled(), IsEmpty());
}

TEST_P(Away, DelOfAnEarlierAddLeavesATombstone) {
    // Whatever DEL lacks: a namespace, a result, right limits, a first time.
    plugin_["CNI_NETNS"] = "";
    for (const std::string& input : {configuration(GetParam(), limited), configuration(GetParam(), ""),
                                     configuration(GetParam(), R"("ingressRate": -1, )"),
                                     concat(R"({"name": "net", "cniVersion": ")", GetParam(), "\"}")}) {
        SCOPED_TRACE(input);
        const auto r = plugin_.run("DEL", input);
        EXPECT_EQ(r.status, 0) << r.out;
        EXPECT_EQ(r.out, "");
        EXPECT_EQ(plugin_.spooled(file),
                  (Json{{"Tombstone", true}, {"ContainerId", "c1"}, {"InterfaceName", "eth0"}, {"Network", "net"}}));
    }
}

TEST_P(Away, AnAddAfterADelReplacesTheTombstone) {
    const auto input = configuration(GetParam(), limited);
    plugin_.run("DEL", input);
    plugin_.run("ADD", input);
    EXPECT_THAT(plugin_.spooled(), ElementsAre(file));
    EXPECT_FALSE(plugin_.spooled(file).contains("Tombstone"));
}

// CRI-O checks straight after ADD.
TEST_P(Away, CheckPassesWhileTheAddWaits) {
    if (std::string_view(GetParam()) < "0.4.0") return;
    const auto input = configuration(GetParam(), limited);
    const auto before = printed_error(plugin_.run("CHECK", input));
    EXPECT_EQ(before.code, 11U);
    EXPECT_THAT(before.message, HasSubstr("natrad does not answer: "));
    plugin_.run("ADD", input);
    const auto r = plugin_.run("CHECK", input);
    EXPECT_EQ(r.status, 0);
    EXPECT_EQ(r.out, "");
    EXPECT_EQ(printed_error(plugin_.run("CHECK", configuration(GetParam(), closed))).code, 11U);
    plugin_.run("DEL", input);
    EXPECT_EQ(printed_error(plugin_.run("CHECK", input)).code, 11U);
    plugin_.run("DEL", input);
    EXPECT_EQ(printed_error(plugin_.run("CHECK", input)).code, 11U) << "a tombstone is no ADD";
}

// The bus is stuck, and natrad has found the request in the spool meanwhile.
TEST_F(AwayNow, CheckPassesWhenNatradHasCarriedOutWhatAddLeft) {
    const auto input = configuration("1.1.0", limited);
    plugin_.run("ADD", input);
    write(plugin_.record("c1__eth0"));
    std::filesystem::remove(plugin_.spool_directory() + "/" + file);
    const auto r = plugin_.run("CHECK", input);
    EXPECT_EQ(r.status, 0) << r.out;
    EXPECT_EQ(r.out, "");
    EXPECT_THAT(r.err, HasSubstr("it has recorded the limits"));
    EXPECT_EQ(printed_error(plugin_.run("CHECK", configuration("1.1.0", closed))).code, 11U);
    plugin_["CNI_IFNAME"] = "eth1";
    EXPECT_EQ(printed_error(plugin_.run("CHECK", input)).code, 11U) << "the record is another interface's";
    plugin_["CNI_IFNAME"] = "eth0";
    plugin_.run("DEL", input);
    EXPECT_EQ(printed_error(plugin_.run("CHECK", input)).code, 11U) << "its DEL waits";
}

TEST_F(AwayNow, DelNeedsNoConfiguration) {
    const auto large = configuration("1.1.0", concat("\"padding\": \"", std::string(2 << 20, 'x'), "\", "));
    const auto deep =
        configuration("1.1.0", concat("\"padding\": ", std::string(100, '['), std::string(100, ']'), ", "));
    for (const std::string& input : {large, deep, std::string("{"), std::string(), std::string("\xff")}) {
        SCOPED_TRACE(input.substr(0, 20));
        const auto r = plugin_.run("DEL", input);
        EXPECT_EQ(r.status, 0) << r.out;
        EXPECT_EQ(r.out, "");
        EXPECT_THAT(r.err, HasSubstr("DEL goes by the container alone: "));
        EXPECT_EQ(plugin_.spooled(file),
                  (Json{{"Tombstone", true}, {"ContainerId", "c1"}, {"InterfaceName", "eth0"}, {"Network", ""}}));
        std::filesystem::remove(plugin_.spool_directory() + "/" + file);
        EXPECT_EQ(printed_error(plugin_.run("ADD", input)).code, 6U);
    }
}

// The next plugin may give the device back to the host, which takes such programs along.
TEST_F(AwayNow, DelTakesTcxProgramsOffTheirHooks) {
    const auto pins = plugin_.pin_directory() + "/c1__eth0";
    for (const char* pin : {"ingress_link", "egress_link", "egress_link_next", "egress_link_old", "egress_prog"})
        write(concat(pins, "/", pin));
    write(plugin_.pin_directory() + "/c2__eth0/egress_link");
    EXPECT_EQ(plugin_.run("DEL", configuration("1.1.0", "")).status, 0);
    EXPECT_THAT(files::list(pins), ElementsAre("egress_prog"));
    EXPECT_THAT(files::list(plugin_.pin_directory() + "/c2__eth0"), ElementsAre("egress_link"));
}

TEST_F(AwayNow, StatusFollowsThePolicy) {
    const auto open = plugin_.run("STATUS", configuration("1.1.0", ""));
    EXPECT_EQ(open.status, 0);
    EXPECT_EQ(open.out, "");
    EXPECT_EQ(open.err, "");
    const auto error = printed_error(plugin_.run("STATUS", configuration("1.1.0", closed)));
    EXPECT_EQ(error.code, 50U);
    EXPECT_EQ(error.message, "natrad does not answer: system bus: No such file or directory");
}

TEST_F(AwayNow, NobodyOwnsTheName) {
    const PrivateBus bus(plugin_.directory());
    plugin_["DBUS_SYSTEM_BUS_ADDRESS"] = bus.address();
    const auto input = configuration("1.1.0", limited);
    const auto r = plugin_.run("ADD", input);
    expect_let_through(r, input);
    EXPECT_THAT(r.err, HasSubstr("org.freedesktop.DBus.Error.ServiceUnknown"));
    EXPECT_LT(r.elapsed, milliseconds(1500));
    EXPECT_FALSE(plugin_.spooled(file).contains("MayHaveArrived"));
    EXPECT_EQ(printed_error(plugin_.run("STATUS", configuration("1.1.0", closed))).code, 50U);
}

// The bus accepts connections and then says nothing: connecting counts against the deadline.
TEST_F(AwayNow, ABusThatNeverSpeaks) {
    const auto path = plugin_.directory() + "/mute";
    const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    // NOLINTNEXTLINE: the socket API's own cast
    ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listener.get(), 8), 0);
    plugin_["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=" + path;

    const auto input = configuration("1.1.0", R"("ingressRate": 8000, "ingressBurst": 80, "timeoutMs": 300, )");
    const auto r = plugin_.run("ADD", input);
    expect_let_through(r, input);
    EXPECT_GE(r.elapsed, milliseconds(300));
    EXPECT_LT(r.elapsed, milliseconds(1500));
    EXPECT_FALSE(plugin_.spooled(file).contains("MayHaveArrived")) << "the call was never sent";
    const auto del = plugin_.run("DEL", input);
    EXPECT_EQ(del.status, 0);
    EXPECT_LT(del.elapsed, milliseconds(1500));
}

TEST_F(AwayNow, ABrokenAddressIsABusThatIsAway) {
    for (const char* address : {"", "nonsense", "unix:path=/dev/null", "tcp:host=127.0.0.1,port=1"}) {
        plugin_["DBUS_SYSTEM_BUS_ADDRESS"] = *address == '\0' ? "unix:path=" + plugin_.directory() : address;
        const auto input = configuration("1.1.0", limited);
        expect_let_through(plugin_.run("ADD", input), input);
    }
}

// The pod starts even so; the operator is told that nothing will catch up.
TEST_F(AwayNow, ASpoolThatCannotBeWritten) {
    std::ofstream(plugin_.directory() + "/in-the-way") << "x";
    plugin_["NATRA_SPOOL_DIR"] = plugin_.directory() + "/in-the-way/spool";
    const auto input = configuration("1.1.0", limited);
    const auto r = plugin_.run("ADD", input);
    EXPECT_EQ(r.status, 0);
    EXPECT_EQ(document(r)["cniVersion"], "1.1.0");
    EXPECT_THAT(r.err, HasSubstr("natrad will not learn of them"));
    EXPECT_THAT(r.err, HasSubstr("in-the-way"));
    EXPECT_EQ(plugin_.run("DEL", input).status, 0);
}

TEST_F(AwayNow, RelativeNamespacePathsAreMadeAbsolute) {
    const auto link = plugin_.directory() + "/netns";
    ASSERT_EQ(::symlink(netns_.path().c_str(), link.c_str()), 0);
    plugin_["CNI_NETNS"] = "../../../../../../../../" + link;
    plugin_.run("ADD", configuration("1.1.0", limited));
    const std::string waiting = plugin_.spooled(file)["NetnsPath"];
    EXPECT_TRUE(waiting.starts_with("/")) << waiting;
    EXPECT_TRUE(waiting.ends_with(link)) << waiting;
}

}  // namespace
}  // namespace natra::shim
