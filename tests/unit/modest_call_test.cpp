// SPDX-License-Identifier: Apache-2.0
#include "dbus/modest_call.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <string>

namespace natra::dbus {
namespace {

// A message that is as complete as one from the bus; nobody is at the other end.
class ModestCall : public ::testing::Test {
protected:
    void SetUp() override {
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_.data()), 0);
        ASSERT_GE(sd_bus_new(&bus_), 0);
        ASSERT_GE(sd_bus_set_fd(bus_, ends_[0], ends_[0]), 0);
        ASSERT_GE(sd_bus_start(bus_), 0);
    }
    void TearDown() override {
        sd_bus_close_unref(bus_);
        ::close(ends_[1]);
    }
    bool modest(const std::function<int(sd_bus_message*)>& append) {
        sd_bus_message* call = nullptr;
        EXPECT_GE(sd_bus_message_new_method_call(bus_, &call, "a.b", "/a", "a.b", "C"), 0);
        EXPECT_GE(append(call), 0);
        EXPECT_GE(sd_bus_message_seal(call, 1, 1000), 0);
        const bool out = is_modest(call);
        // As it was: what reads it next begins at the beginning.
        char type = 0;
        const int any = sd_bus_message_peek_type(call, &type, nullptr);
        EXPECT_EQ(any > 0, sd_bus_message_is_empty(call) == 0);
        sd_bus_message_unref(call);
        return out;
    }
    static int entries(sd_bus_message* call, int count) {
        int r = sd_bus_message_open_container(call, 'a', "{sv}");
        for (int i = 0; i < count && r >= 0; ++i)
            r = sd_bus_message_append(call, "{sv}", std::to_string(i).c_str(), "t", UINT64_C(1));
        return r < 0 ? r : sd_bus_message_close_container(call);
    }

private:
    std::array<int, 2> ends_{};
    sd_bus* bus_ = nullptr;
};

TEST_F(ModestCall, IsWhatNatradsInterfaceHas) {
    EXPECT_TRUE(modest([](sd_bus_message*) { return 0; }));
    EXPECT_TRUE(modest([](sd_bus_message* call) { return sd_bus_message_append(call, "su", "ingress", 5U); }));
    EXPECT_TRUE(modest([](sd_bus_message* call) { return sd_bus_message_append(call, "ss", "a.b", "Degraded"); }));
    EXPECT_TRUE(modest([](sd_bus_message* call) { return sd_bus_message_append(call, "ssv", "a.b", "C", "s", "d"); }));
    EXPECT_TRUE(modest([](sd_bus_message* call) { return sd_bus_message_append(call, "sa(ss)", "net", 0); }));
    EXPECT_TRUE(modest([](sd_bus_message* call) { return sd_bus_message_append(call, "a(ss)", 1, "c1", "eth0"); }));
    EXPECT_TRUE(modest([](sd_bus_message* call) { return entries(call, 0); }));
    EXPECT_TRUE(modest([](sd_bus_message* call) { return entries(call, 32); }));
}

TEST_F(ModestCall, IsNothingThatIsDearToRead) {
    const std::string longest(4096, 'a');
    const auto longer = longest + "a";
    EXPECT_FALSE(modest([](sd_bus_message* call) { return entries(call, 33); }));
    EXPECT_TRUE(modest([&](sd_bus_message* call) { return sd_bus_message_append(call, "s", longest.c_str()); }));
    EXPECT_FALSE(modest([&](sd_bus_message* call) { return sd_bus_message_append(call, "s", longer.c_str()); }));
    EXPECT_FALSE(modest([&](sd_bus_message* call) { return sd_bus_message_append(call, "v", "s", longer.c_str()); }));
    EXPECT_FALSE(modest([&](sd_bus_message* call) {
        return sd_bus_message_append(call, "a{sv}", 1, longer.c_str(), "t", UINT64_C(1));
    }));
    EXPECT_FALSE(modest([](sd_bus_message* call) { return sd_bus_message_append(call, "a{sv}", 1, "a", "ay", 1, 7); }));
    EXPECT_FALSE(modest([](sd_bus_message* call) { return sd_bus_message_append(call, "as", 1, "a"); }));
    EXPECT_FALSE(
        modest([&](sd_bus_message* call) { return sd_bus_message_append(call, "a(ss)", 1, "c1", longer.c_str()); }));
    EXPECT_FALSE(modest([](sd_bus_message* call) {
        int r = 0;
        for (int i = 0; i < 17 && r >= 0; ++i) r = sd_bus_message_append(call, "u", 1U);
        return r;
    }));
}

}  // namespace
}  // namespace natra::dbus
