// SPDX-License-Identifier: Apache-2.0
// The journal's socket, as the plugin meets it.
#include "cni-shim/journal.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "daemon/util/unique_fd.hpp"
#include "tests/shim/golden.hpp"
#include "tests/shim/plugin.hpp"
#include "tests/shim/pod_netns.hpp"
#include "tests/shim/scratch.hpp"

namespace natra::shim {
namespace {

using ::testing::HasSubstr;

// A journald that reads only when it is told to.
class Journal {
public:
    explicit Journal(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
        sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        const auto* const at = reinterpret_cast<const sockaddr*>(&address);
        EXPECT_EQ(::bind(fd_.get(), at, sizeof address), 0) << path;
    }
    // "" if there is no entry.
    [[nodiscard]] std::string read() const {
        std::string text(1 << 16, '\0');
        const auto n = ::recv(fd_.get(), text.data(), text.size(), 0);
        text.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
        return text;
    }

private:
    UniqueFd fd_;
};

TEST(Journal, TakesAnEntry) {
    const Scratch scratch;
    const auto path = scratch.path() + "/journal";
    const Journal journal(path);
    EXPECT_TRUE(send_to_journal(path, {{"MESSAGE", "two\nlines"}, {"PRIORITY", "4"}}));
    EXPECT_EQ(journal.read(), "MESSAGE=two lines\nPRIORITY=4\n");
}

TEST(Journal, IsNotWaitedFor) {
    const Scratch scratch;
    const auto path = scratch.path() + "/journal";
    EXPECT_FALSE(send_to_journal(path, {{"MESSAGE", "nobody"}}));
    EXPECT_FALSE(send_to_journal(std::string(4096, 'x'), {{"MESSAGE", "nowhere"}}));
    const Journal journal(path);
    int taken = 0;
    while (taken < 1'000'000 && send_to_journal(path, {{"MESSAGE", "one of many"}})) ++taken;
    EXPECT_GT(taken, 0);
    EXPECT_LT(taken, 1'000'000) << "a socket's queue has an end";
}

TEST(Journal, ThatDoesNotReadDoesNotStopAPod) {
    Plugin plugin;
    const PodNetns netns;
    const auto path = plugin.directory() + "/journal";
    const Journal journal(path);
    plugin["NATRA_JOURNAL_SOCKET"] = path;
    plugin["CNI_NETNS"] = netns.path();
    const auto limited = golden::configuration("1.0.0", R"("ingressRate": 8000, "ingressBurst": 80, )");
    EXPECT_EQ(plugin.run("ADD", limited).status, 0);
    const auto entry = journal.read();
    EXPECT_THAT(entry, HasSubstr("MESSAGE=c1/eth0: natrad does not answer"));
    EXPECT_THAT(entry,
                HasSubstr("\nPRIORITY=4\nSYSLOG_IDENTIFIER=natra\nNATRA_CONTAINER_ID=c1\nNATRA_INTERFACE=eth0\n"));

    while (send_to_journal(path, {{"MESSAGE", "x"}})) {
    }
    const auto r = plugin.run("ADD", limited);
    EXPECT_EQ(r.status, 0) << r.out;
    EXPECT_LT(r.elapsed, std::chrono::milliseconds(1500));
    EXPECT_THAT(r.err, HasSubstr("natrad does not answer"));
}

}  // namespace
}  // namespace natra::shim
