// SPDX-License-Identifier: Apache-2.0
// What waits for natrad is applied to what it was asked for, is kept as long as that may come, and is not lost.
#include "daemon/pods/spool.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "cni-shim/opened_interface.hpp"
#include "daemon/util/files.hpp"
#include "tests/netlink/privileges.hpp"
#include "tests/netlink/registry_world.hpp"

namespace natra::pods::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Spooled : public Registries {
protected:
    void SetUp() override {
        Registries::SetUp();
        adopt();
        ASSERT_TRUE(files::make_directory(directory()));
        spool_ = std::make_unique<Spool>(directory(), *core_, *registry_);
    }
    void TearDown() override {
        // What is under way refers to it.
        if (worker_) worker_->wait_idle();
        if (core_) (void)run_due();
        spool_.reset();
        Registries::TearDown();
    }
    [[nodiscard]] std::string directory() const { return folder_.path() + "/spool"; }
    // By rename, as the shim does.
    void put(const nlohmann::json& request, const std::string& name = "pod1:eth0.json") const {
        std::ofstream(directory() + "/.staged") << request.dump();
        ASSERT_EQ(std::rename((directory() + "/.staged").c_str(), (directory() + "/" + name).c_str()), 0);
    }
    [[nodiscard]] nlohmann::json add() const {
        const auto opened = shim::identify(pod_.get(), "eth0");
        return {{"ContainerId", "pod1"},
                {"InterfaceName", "eth0"},
                {"NetnsPath", netns_path()},
                {"NetnsDevice", opened.netns_dev},
                {"NetnsInode", opened.netns_ino},
                {"NetnsCookie", opened.netns_cookie},
                {"InterfaceIndex", opened.ifindex},
                {"InterfaceAddress", opened.address},
                {"IngressRate", rate_bps},
                {"IngressSource", "runtime"}};
    }
    [[nodiscard]] static nlohmann::json tombstone() {
        return {{"Tombstone", true}, {"ContainerId", "pod1"}, {"InterfaceName", "eth0"}, {"Network", "lab"}};
    }
    [[nodiscard]] std::vector<std::string> waiting() const { return files::list(directory()); }
    // Everything that natrad does about it by itself is done.
    bool settled() {
        return eventually([&] {
            worker_->wait_idle();
            return !run_due();
        });
    }

    std::unique_ptr<Spool> spool_;
};

TEST_F(Spooled, RequestsAreAppliedAndRemoved) {
    put(add());
    spool_->start();
    EXPECT_TRUE(eventually([&] { return waiting().empty(); }));
    EXPECT_OK(whole());
    EXPECT_EQ(registry_->find(id)->effective.ingress.rate_bps, rate_bps);
}

TEST_F(Spooled, AnAddThatComesWhileATombstoneIsAppliedIsNotLost) {
    ASSERT_OK(attach(request()));
    put(tombstone());
    spool_->start();
    put(add());  // the Detach is the worker's by now
    EXPECT_TRUE(eventually([&] { return waiting().empty(); }));
    EXPECT_TRUE(settled());
    EXPECT_OK(whole());
}

TEST_F(Spooled, ATombstoneThatComesWhileAnAddIsAppliedIsNotLost) {
    put(add());
    spool_->start();
    put(tombstone());
    EXPECT_TRUE(eventually([&] { return waiting().empty(); }));
    EXPECT_TRUE(settled());
    EXPECT_EQ(registry_->find(id), nullptr);
    EXPECT_THAT(engine_->pinned(), IsEmpty());
}

TEST_F(Spooled, ARequestWhoseNamespaceMayNotBeOpenedIsKept) {
    const auto closed = folder_.path() + "/closed";
    std::filesystem::create_directory(closed);
    std::filesystem::create_symlink(netns_path(), closed + "/netns");
    constexpr unsigned nobody = 65534;
    ASSERT_EQ(::chown(closed.c_str(), nobody, nobody), 0);
    ASSERT_EQ(::chmod(closed.c_str(), 0700), 0);
    auto asked = add();
    asked["NetnsPath"] = closed + "/netns";
    put(asked);
    {
        const WithoutDacOverride few;
        spool_->start();
        EXPECT_TRUE(settled());
    }
    EXPECT_THAT(waiting(), ElementsAre("pod1:eth0.json"));
    EXPECT_EQ(registry_->find(id), nullptr);
    put({{"Tombstone", true}, {"ContainerId", "other"}, {"InterfaceName", "eth0"}}, "other:eth0.json");
    EXPECT_TRUE(eventually([&] { return waiting().empty(); }));
    EXPECT_OK(whole());
}

TEST_F(Spooled, ARequestForAnotherNamespaceAtItsPathIsDropped) {
    auto asked = add();
    asked["NetnsInode"] = asked["NetnsInode"].get<std::uint64_t>() + 1;
    put(asked);
    spool_->start();
    EXPECT_TRUE(eventually([&] { return waiting().empty(); }));
    EXPECT_TRUE(registry_->pods().empty());
    EXPECT_THAT(engine_->pinned(), IsEmpty());
}

// A natrad that died between taking a request and removing it. Of the two here one is older than what waits.
TEST_F(Spooled, ARequestThatWasTakenByAnotherNatradIsNotLost) {
    put(add(), ".pod1:eth0.json.applied");
    put(tombstone(), ".other:eth0.json.applied");
    auto newer = tombstone();
    newer["ContainerId"] = "other";
    put(newer, "other:eth0.json");
    spool_->start();
    EXPECT_TRUE(eventually([&] { return std::filesystem::is_empty(directory()); }));
    EXPECT_TRUE(settled());
    EXPECT_OK(whole());
}

// A plugin that was killed; another may be about to finish.
TEST_F(Spooled, WhatAPluginDidNotFinishWritingGoesAfterAMinute) {
    namespace fs = std::filesystem;
    const auto old = directory() + "/.pod1:eth0.json.natra-aB3dE6";
    const auto young = directory() + "/.pod2:eth0.json.natra-aB3dE6";
    for (const auto& path : {old, young}) std::ofstream(path) << "{";
    fs::last_write_time(old, fs::last_write_time(young) - std::chrono::minutes(2));
    spool_->start();
    EXPECT_FALSE(fs::exists(old));
    EXPECT_TRUE(fs::exists(young));
}

// A process id that was used again leads there.
TEST_F(Spooled, ARequestThatLeadsToTheNodeIsDropped) {
    auto asked = add();
    for (const char* key : {"NetnsDevice", "NetnsInode", "NetnsCookie", "InterfaceIndex", "InterfaceAddress"})
        asked.erase(key);
    asked["NetnsPath"] = "/proc/thread-self/ns/net";
    asked["InterfaceName"] = "p0";
    put(asked);
    spool_->start();
    EXPECT_TRUE(eventually([&] { return waiting().empty(); }));
    EXPECT_TRUE(registry_->pods().empty());
    EXPECT_FALSE(has_clsact("p0"));
}

}  // namespace
}  // namespace natra::pods::testing
