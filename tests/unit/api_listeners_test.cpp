// SPDX-License-Identifier: Apache-2.0
#include "api/listeners.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

namespace natra::api {
namespace {

using testing::HasSubstr;

TEST(ListenAt, TakesOverWhatADeadProcessLeftAndNothingElse) {
    const auto path = testing::TempDir() + "natra-listen-" + std::to_string(::getpid());
    auto first = listen_at(path, "");
    ASSERT_TRUE(first) << first.error().what;
    const auto second = listen_at(path, "");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Error::Code::already_exists);
    first->fd.reset();
    EXPECT_TRUE(listen_at(path, ""));
    ::unlink(path.c_str());
    std::ofstream(path) << "not natra's";
    EXPECT_FALSE(listen_at(path, ""));
    EXPECT_TRUE(std::filesystem::is_regular_file(path));
    ::unlink(path.c_str());
    EXPECT_FALSE(listen_at(std::string(200, 'a'), ""));
    EXPECT_FALSE(listen_at("/nowhere/at/all", ""));
}

TEST(ListenAt, WithoutItsGroupItListensAllTheSame) {
    const auto path = testing::TempDir() + "natra-group-" + std::to_string(::getpid());
    for (const char* group : {"no-such-group", ""}) {
        EXPECT_TRUE(listen_at(path, group));
        struct stat info {};
        ASSERT_EQ(::stat(path.c_str(), &info), 0);
        EXPECT_EQ(info.st_mode & 0777, 0660U) << group;
        EXPECT_EQ(info.st_gid, ::getegid()) << group;
        ::unlink(path.c_str());
    }
}

}  // namespace
}  // namespace natra::api
