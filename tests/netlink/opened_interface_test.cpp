// SPDX-License-Identifier: Apache-2.0
// A request is about the namespace and the interface that its caller had open, whatever has their names by now.
#include <gmock/gmock.h>
#include <sys/resource.h>

#include "cni-shim/opened_interface.hpp"
#include "tests/netlink/engine_world.hpp"

namespace natra::datapath::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Opened : public Engines {
protected:
    // As the plugin tells it to natrad.
    OpenedInterface identify(const std::string& device) const {
        const auto told = shim::identify(pod_.get(), device);
        return {.netns = {.dev = told.netns_dev, .ino = told.netns_ino},
                .netns_cookie = told.netns_cookie,
                .ifindex = static_cast<int>(told.ifindex),
                .mac = told.address};
    }
    Result<Attached> attach(const OpenedInterface& opened) {
        return engine_->attach({.id = "pod1",
                                .netns_fd = pod_.get(),
                                .netns_path = netns_path(),
                                .device = "eth0",
                                .opened = opened,
                                .rates = {.ingress = rate, .egress = rate}});
    }
    nlohmann::json link(const std::string& device) const {
        return nlohmann::json::parse(in_pod("ip -j link show dev " + device)).at(0);
    }
    void expect_refused(const OpenedInterface& opened, const std::string& why,
                        Error::Code code = Error::Code::no_device) {
        const auto error = error_of(attach(opened));
        EXPECT_EQ(error.code, code);
        EXPECT_THAT(error.what, HasSubstr(why));
        EXPECT_THAT(engine_->pinned(), IsEmpty());
    }
    // As KubeVirt does it: the name goes to another device.
    void give_the_name_away() const {
        in_pod("ip link set eth0 down");
        in_pod("ip link set eth0 name eth0-nic");
        in_pod("ip link set eth0-nic up");
        in_pod("ip link add eth0 type veth peer name eth0p");
        in_pod("ip link set eth0 up");
    }
};

TEST_F(Opened, InterfacesAreIdentifiedByThePlugin) {
    const auto told = identify("eth0");
    EXPECT_EQ(told.netns, *netns_id(pod_.get()));
    EXPECT_EQ(told.ifindex, link("eth0").at("ifindex"));
    EXPECT_EQ(told.mac, link("eth0").at("address"));
    const auto absent = identify("eth1");
    EXPECT_EQ(absent.netns, told.netns);
    EXPECT_EQ(absent.ifindex, 0);
    EXPECT_EQ(absent.mac, "");
    EXPECT_EQ(current_netns_id(), *netns_id(current_netns().get())) << "the caller stays where it is";
}

TEST_F(Opened, InterfacesAreLimited) {
    const auto attached = attach(identify("eth0"));
    ASSERT_OK(attached);
    EXPECT_OK(engine_->check(*attached, pod_.get()));
}

TEST_F(Opened, AnInterfaceThatWasRenamedIsLimited) {
    const auto told = identify("eth0");
    give_the_name_away();
    const auto attached = attach(told);
    ASSERT_OK(attached);
    EXPECT_EQ(attached->record.pod_ifindex, told.ifindex);
    EXPECT_EQ(attached->record.pod_device, "eth0-nic");
    EXPECT_EQ(attached->record.host_device, "p0");
    EXPECT_OK(engine_->check(*attached, pod_.get()));
}

TEST_F(Opened, AnInterfaceThatChangedItsAddressIsLimited) {
    const auto told = identify("eth0");
    if (told.netns_cookie == 0) GTEST_SKIP() << "without cookies it may be another one";
    in_pod("ip link set eth0 address 0a:00:00:00:00:01");
    EXPECT_OK(attach(told));
}

TEST_F(Opened, WithoutACookieAnotherAddressIsAnotherInterface) {
    auto told = identify("eth0");
    told.netns_cookie = 0;
    in_pod("ip link set eth0 address 0a:00:00:00:00:01");
    // For now: it may be the same one after all.
    expect_refused(told, "it is another one now", Error::Code::unavailable);
}

TEST_F(Opened, AnInterfaceThatIsGoneIsNotReplacedByItsNamesake) {
    const auto told = identify("eth0");
    in_pod("ip link del eth0");
    in_pod("ip link add eth0 type veth peer name eth0p");
    expect_refused(told, "\"eth0\": Link not found");
}

TEST_F(Opened, AnotherNamespaceAtThePathIsRefused) {
    auto told = identify("eth0");
    ++told.netns.ino;
    expect_refused(told, netns_path() + " is another network namespace now");
}

TEST_F(Opened, AnotherNamespaceOfTheSameInodeIsRefused) {
    auto told = identify("eth0");
    if (told.netns_cookie == 0) GTEST_SKIP() << "this kernel has no cookies";
    ++told.netns_cookie;
    expect_refused(told, netns_path() + " is another network namespace now");
}

TEST_F(Opened, TheNodesOwnNamespaceIsRefused) {
    const auto own = current_netns();
    const auto error = error_of(engine_->attach({.id = "pod1",
                                                 .netns_fd = own.get(),
                                                 .netns_path = "/proc/thread-self/ns/net",
                                                 .device = "p0",
                                                 .rates = {.ingress = rate, .egress = rate}}));
    EXPECT_EQ(error.code, Error::Code::invalid_argument);
    EXPECT_EQ(error.what, "netns: \"/proc/thread-self/ns/net\" is the node's own network namespace");
    EXPECT_THAT(engine_->pinned(), IsEmpty());
    EXPECT_EQ(filters_outside(), 0U);
}

// As a natrad that did not look has left it.
TEST_F(Opened, ARecordOfTheNodesOwnNamespaceIsLifted) {
    auto attached = attach(identify("eth0"));
    ASSERT_OK(attached);
    auto record = attached->record;
    record.netns = current_netns_id();
    attached->ingress.reset();
    attached->egress.reset();
    restart();
    const auto error = error_of(engine_->adopt(record));
    EXPECT_EQ(error.code, Error::Code::no_device);
    EXPECT_THAT(error.what, HasSubstr("the node's own network namespace"));
    EXPECT_THAT(engine_->pinned(), IsEmpty());
    EXPECT_FALSE(has_clsact("p0"));
}

// Without descriptors nobody can tell whether it is gone.
TEST_F(Opened, ANamespaceThatCannotBeOpenedNowIsNotGone) {
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    auto opened = open_netns("/proc/thread-self/ns/net");
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    const auto error = error_of(std::move(opened));
    EXPECT_EQ(error.code, Error::Code::kernel);
    EXPECT_EQ(error.sys, EMFILE);
    EXPECT_EQ(open_netns("/proc/thread-self/ns/absent").error().code, Error::Code::no_device);
}

}  // namespace
}  // namespace natra::datapath::testing
