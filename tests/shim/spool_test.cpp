// SPDX-License-Identifier: Apache-2.0
#include "cni-shim/spool.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "daemon/pods/state_file.hpp"
#include "daemon/util/files.hpp"
#include "tests/shim/scratch.hpp"

namespace natra::shim {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Environment attachment(std::string container_id, std::string interface) {
    Environment out;
    out.container_id = std::move(container_id);
    out.interface = std::move(interface);
    return out;
}

Request request() {
    Request out{{.container_id = "c1",
                 .interface = "eth0",
                 .network = "net",
                 .netns_path = "/run/netns/pod",
                 .pod_namespace = "shop",
                 .pod_name = "web-0",
                 .pod_uid = "0a"}};
    out.host_interfaces = {"cni0", "veth1"};
    out.limits = {.ingress = {1000, 2000, limits::Source::runtime}, .egress = {3000, 4294967295, limits::Source::conf}};
    out.opened = {.netns_dev = 4, .netns_ino = 4026532000, .netns_cookie = 4711, .ifindex = 2, .address = "0a:58:01"};
    out.runtime_bursts = true;
    return out;
}

class SpoolTest : public ::testing::Test {
protected:
    Scratch scratch_;
    const std::string directory_ = scratch_.path() + "/run/spool";
    const Spool spool_{directory_};
    const Environment eth0_ = attachment("c1", "eth0");

    mode_t mode_of(const std::string& path) {
        struct stat status {};
        return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 07777 : 0;
    }
};

TEST_F(SpoolTest, StartsWithoutADirectory) {
    EXPECT_EQ(spool_.content(eth0_), Spool::Content::nothing);
    EXPECT_TRUE(spool_.remove(eth0_));
    EXPECT_EQ(mode_of(directory_), 0U) << "looking makes nothing";
}

TEST_F(SpoolTest, KeepsARequestForRootAlone) {
    ASSERT_TRUE(spool_.put(request(), false));
    EXPECT_THAT(files::list(directory_), ElementsAre("c1:eth0.json"));
    EXPECT_EQ(mode_of(directory_), 0700U);
    EXPECT_EQ(mode_of(directory_ + "/c1:eth0.json"), 0600U);
    EXPECT_EQ(spool_.content(eth0_), Spool::Content::request);
}

// The other end of the spool reads what this one writes.
TEST_F(SpoolTest, IsWhatNatradReads) {
    ASSERT_TRUE(spool_.put(request(), true));
    EXPECT_EQ(spool_.content(eth0_), Spool::Content::sent_request);
    const auto text = files::read(directory_ + "/c1:eth0.json", 1 << 20);
    ASSERT_TRUE(text);
    const auto read = pods::request_from_json(*text);
    ASSERT_TRUE(read) << read.error().what;
    EXPECT_EQ(read->container_id, "c1");
    EXPECT_EQ(read->interface_name, "eth0");
    EXPECT_EQ(read->network, "net");
    EXPECT_EQ(read->netns_path, "/run/netns/pod");
    EXPECT_EQ(read->pod_namespace, "shop");
    EXPECT_EQ(read->pod_name, "web-0");
    EXPECT_EQ(read->pod_uid, "0a");
    EXPECT_THAT(read->host_interfaces, ElementsAre("cni0", "veth1"));
    EXPECT_EQ(read->opened.netns, (datapath::NetnsId{.dev = 4, .ino = 4026532000}));
    EXPECT_EQ(read->opened.netns_cookie, 4711U);
    EXPECT_EQ(read->opened.ifindex, 2);
    EXPECT_EQ(read->opened.mac, "0a:58:01");
    EXPECT_EQ(read->limits, request().limits);
    EXPECT_TRUE(read->honour_filler_bursts);
    EXPECT_TRUE(pods::validate(*read));
}

TEST_F(SpoolTest, TheLastCallWins) {
    ASSERT_TRUE(spool_.put(request(), false));
    ASSERT_TRUE(spool_.put_tombstone(eth0_, "net"));
    EXPECT_EQ(spool_.content(eth0_), Spool::Content::tombstone);
    ASSERT_TRUE(spool_.put(request(), false));
    EXPECT_EQ(spool_.content(eth0_), Spool::Content::request);
    EXPECT_EQ(files::list(directory_).size(), 1U);
    ASSERT_TRUE(spool_.remove(eth0_));
    EXPECT_EQ(spool_.content(eth0_), Spool::Content::nothing);
    EXPECT_THAT(files::list(directory_), IsEmpty());
}

TEST_F(SpoolTest, AttachmentsWithSimilarNamesAreApart) {
    for (const auto& [id, interface] : {std::pair{"a", "b.json"}, {"a-b", "c"}, {"a", "b-c"}, {"a_b", "c"}})
        ASSERT_TRUE(spool_.put_tombstone(attachment(id, interface), "net"));
    EXPECT_EQ(files::list(directory_).size(), 4U);
    ASSERT_TRUE(spool_.remove(attachment("a-b", "c")));
    EXPECT_EQ(spool_.content(attachment("a", "b-c")), Spool::Content::tombstone);
}

TEST_F(SpoolTest, WhatIsNoRequestIsNone) {
    ASSERT_TRUE(files::make_directory(directory_));
    for (const char* text : {"", "[]", "{", "5"}) {
        std::ofstream(directory_ + "/c1:eth0.json") << text;
        EXPECT_EQ(spool_.content(eth0_), Spool::Content::nothing) << text;
    }
}

TEST_F(SpoolTest, ErrorsNameTheFile) {
    const Spool impossible("/proc/natra/spool");
    const auto r = impossible.put(request(), false);
    ASSERT_FALSE(r);
    EXPECT_THAT(r.error().what, ::testing::HasSubstr("/proc/natra"));
}

// A node whose natrad never comes back must not lose its memory to tombstones.
TEST_F(SpoolTest, TombstonesAreBounded) {
    ASSERT_TRUE(files::make_directory(directory_));
    for (int i = 0; i < 4095; ++i) std::ofstream(directory_ + "/" + std::to_string(i));
    EXPECT_TRUE(spool_.put_tombstone(attachment("last", "eth0"), "net"));
    const auto r = spool_.put_tombstone(attachment("one-more", "eth0"), "net");
    ASSERT_FALSE(r);
    EXPECT_THAT(r.error().what, ::testing::HasSubstr("holds 4096 files already"));
    EXPECT_TRUE(spool_.put(request(), false)) << "an ADD is kept all the same: there is a pod behind it";
}

TEST(SpoolOfEnvironment, HonoursTheVariable) {
    Scratch scratch;
    const auto directory = scratch.path() + "/elsewhere";
    const auto spool = Spool::of_environment([&](const char* name) -> const char* {
        return std::string_view(name) == "NATRA_SPOOL_DIR" ? directory.c_str() : nullptr;
    });
    ASSERT_TRUE(spool.put(request(), false));
    EXPECT_THAT(files::list(directory), ElementsAre("c1:eth0.json"));
}

}  // namespace
}  // namespace natra::shim
