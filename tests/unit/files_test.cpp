// SPDX-License-Identifier: Apache-2.0
#include "daemon/util/files.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "daemon/util/staged.hpp"
#include "daemon/util/unique_fd.hpp"

namespace natra::files {
namespace {

using Code = Error::Code;

constexpr std::size_t most = 4096;

class Files : public ::testing::Test {
protected:
    void SetUp() override { ASSERT_NE(::mkdtemp(folder_.data()), nullptr); }
    void TearDown() override {
        ::alarm(0);
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    [[nodiscard]] std::string path(const char* name) const { return folder_ + "/" + name; }
    static void expect_refused(const std::string& path, const std::string& why) {
        ::alarm(10);  // ends the process
        const auto text = read(path, most);
        ASSERT_FALSE(text);
        EXPECT_EQ(text.error().code, Code::invalid_argument);
        EXPECT_EQ(text.error().what, path + ": " + why);
    }

    std::string folder_ = "/tmp/natra-files-test-XXXXXX";
};

TEST_F(Files, ReadsAWholeFile) {
    std::ofstream(path("file")) << std::string(most, 'x');
    const auto text = read(path("file"), most);
    ASSERT_TRUE(text) << text.error().what;
    EXPECT_EQ(*text, std::string(most, 'x'));
    EXPECT_EQ(read(path("none"), most).error().code, Code::not_found);
}

TEST_F(Files, RefusesWhatIsTooLargeWithoutReadingIt) {
    std::ofstream(path("file")) << std::string(most + 1, 'x');
    expect_refused(path("file"), "larger than 4096 bytes");
    std::filesystem::resize_file(path("file"), 1ULL << 40U);
    expect_refused(path("file"), "larger than 4096 bytes");
}

// Nobody writes to the FIFO, and the device never ends.
TEST_F(Files, WaitsForNothing) {
    ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
    expect_refused(path("fifo"), "is no regular file");
    std::filesystem::create_symlink("/dev/zero", path("device"));
    expect_refused(path("device"), "is no regular file");
    std::filesystem::create_directory(path("folder"));
    expect_refused(path("folder"), "is no regular file");
}

TEST_F(Files, ASocketIsAnError) {
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path("socket").c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_FALSE(read(path("socket"), most));
}

// Of /proc, whose files say that they are empty.
TEST_F(Files, ReadsWhatHasNoSize) {
    const auto text = read("/proc/self/stat", most);
    ASSERT_TRUE(text) << text.error().what;
    EXPECT_FALSE(text->empty());
}

// As a writer that was killed leaves it.
TEST_F(Files, WhatNobodyFinishedWritingIsRemoved) {
    namespace fs = std::filesystem;
    const auto unfinished = path(".a.json.natra-aB3dE6");
    const auto other_things = {".a.json.aB3dE6",     ".natra-aB3dE6",        "a.json.natra-aB3dE6",
                               ".a.json.natra-aB3d", ".a.json.natra-aB3d.6", ".a.json"};
    std::ofstream{unfinished} << "{";
    for (const auto* const name : other_things) std::ofstream{path(name)} << "{";
    fs::create_directory(path(".folder.natra-aB3dE6"));
    fs::create_symlink(path(".a.json"), path(".link.natra-aB3dE6"));
    remove_staged(folder_, std::chrono::minutes(1));
    EXPECT_TRUE(fs::exists(unfinished)) << "somebody may be writing";
    fs::last_write_time(unfinished, fs::last_write_time(unfinished) - std::chrono::minutes(2));
    remove_staged(folder_, std::chrono::minutes(1));
    EXPECT_FALSE(fs::exists(unfinished));
    std::ofstream{unfinished} << "{";
    remove_staged(folder_, std::chrono::seconds(0));
    EXPECT_FALSE(fs::exists(unfinished));
    for (const auto* const name : other_things) EXPECT_TRUE(fs::exists(path(name))) << name;
    EXPECT_TRUE(fs::exists(path(".folder.natra-aB3dE6")));
    EXPECT_TRUE(fs::is_symlink(path(".link.natra-aB3dE6")));
    remove_staged(path("absent"), std::chrono::seconds(0));
}

TEST_F(Files, WhatIsWrittenHasTheNameThatIsLookedForUntilItIsComplete) {
    EXPECT_EQ(staged_template("/run/x/a.json"), "/run/x/.a.json.natra-XXXXXX");
    EXPECT_EQ(staged_template("a.json"), ".a.json.natra-XXXXXX");
    // The rename fails: a folder is in the place.
    std::filesystem::create_directories(path("a.json/x"));
    const auto written = write_atomically(path("a.json"), "{}");
    ASSERT_FALSE(written);
    EXPECT_NE(written.error().what.find("/.a.json.natra-"), std::string::npos) << written.error().what;
}

}  // namespace
}  // namespace natra::files
