// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/netns.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <system_error>
#include <thread>

#include "tests/netlink/world.hpp"

namespace natra::datapath::testing {
namespace {

using ::testing::HasSubstr;
using Code = Error::Code;

NetnsId id_of(const UniqueFd& fd) {
    const auto id = netns_id(fd.get());
    EXPECT_TRUE(id) << id.error().what;
    return id ? *id : NetnsId{};
}

class Netns : public World {
protected:
    void SetUp() override {
        World::SetUp();
        home_id_ = current_netns_id();
        other_ = make_netns();
    }
    // The one invariant of all calls.
    void TearDown() override {
        EXPECT_EQ(current_netns_id(), home_id_);
        World::TearDown();
    }
    NetnsId home_id_;
    UniqueFd other_;
};

TEST_F(Netns, IsIdentifiedByItsFile) {
    EXPECT_EQ(id_of(current_netns()), home_id_);
    EXPECT_NE(id_of(other_), home_id_);
    const UniqueFd duplicate(::fcntl(other_.get(), F_DUPFD_CLOEXEC, 3));
    EXPECT_EQ(id_of(duplicate), id_of(other_));
}

TEST_F(Netns, IsNoOtherKindOfFile) {
    for (const char* path : {"/dev/null", "/", "/proc/self/ns/mnt", "/proc/self/ns/pid", "/proc/self/ns/user"}) {
        const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
        ASSERT_TRUE(fd) << path;
        EXPECT_EQ(error_of(netns_id(fd.get())).code, Code::invalid_argument) << path;
        EXPECT_EQ(error_of(open_netns(path)).code, Code::no_device) << path;
    }
    const UniqueFd path_only(::open("/proc/self/ns/net", O_PATH | O_CLOEXEC));
    EXPECT_EQ(error_of(netns_id(path_only.get())).code, Code::invalid_argument);
    EXPECT_EQ(error_of(netns_id(-1)).code, Code::invalid_argument);
}

TEST_F(Netns, IsOpenedByPath) {
    const auto opened = open_netns("/proc/self/fd/" + std::to_string(other_.get()));
    ASSERT_OK(opened);
    EXPECT_EQ(id_of(*opened), id_of(other_));
    EXPECT_NE(::fcntl(opened->get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(Netns, ThatIsGoneIsNoDevice) {
    const auto error = error_of(open_netns("/run/netns/no-such-namespace"));
    EXPECT_EQ(error.code, Code::no_device);
    EXPECT_EQ(error.sys, ENOENT);
    EXPECT_THAT(error.what, HasSubstr("/run/netns/no-such-namespace"));
    EXPECT_EQ(error_of(open_netns("")).code, Code::no_device);
}

TEST_F(Netns, OpeningAFifoDoesNotWaitForItsWriter) {
    char folder[] = "/tmp/natra-netns-XXXXXX";
    ASSERT_NE(::mkdtemp(folder), nullptr);
    const auto fifo = std::string(folder) + "/fifo";
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    ::alarm(10);  // ends the process
    EXPECT_EQ(error_of(open_netns(fifo)).code, Code::no_device);
    ::alarm(0);
    std::filesystem::remove_all(folder);
}

TEST_F(Netns, WorkerVisitsAndReturns) {
    NetnsWorker worker;
    EXPECT_EQ(*worker.run(-1, current_netns_id), home_id_);
    EXPECT_EQ(*worker.run(other_.get(), current_netns_id), id_of(other_));
    EXPECT_EQ(*worker.run(-1, current_netns_id), home_id_);
    EXPECT_EQ(current_netns_id(), home_id_);
}

TEST_F(Netns, CallerStaysWhileTheWorkerIsAway) {
    NetnsWorker worker;
    std::atomic<bool> away = false;
    std::atomic<bool> seen = false;
    std::thread caller([&] {
        (void)worker.run(other_.get(), [&] {
            away = true;
            while (!seen) std::this_thread::yield();
        });
    });
    while (!away) std::this_thread::yield();
    EXPECT_EQ(current_netns_id(), home_id_);
    // Nor is any other thread taken along. One that an earlier step joined may be listed for a
    // moment longer: it ends, and does not stay as one taken along would.
    const auto threads_elsewhere = [&] {
        int count = 0;
        for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
            struct stat info {};
            if (::stat((task.path() / "ns/net").c_str(), &info) == 0 && info.st_ino == id_of(other_).ino) ++count;
        }
        return count;
    };
    int elsewhere = threads_elsewhere();
    for (int tries = 0; elsewhere != 1 && tries < 500; ++tries) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        elsewhere = threads_elsewhere();
    }
    EXPECT_EQ(elsewhere, 1);
    seen = true;
    caller.join();
}

TEST_F(Netns, WorkerHandsBackValuesThatOnlyMove) {
    NetnsWorker worker;
    auto moved = worker.run(-1, [] { return std::make_unique<int>(7); });
    EXPECT_EQ(**moved, 7);
}

TEST_F(Netns, WorkerHandsOnExceptionsAndReturns) {
    NetnsWorker worker;
    EXPECT_THROW((void)worker.run(other_.get(), []() -> int { throw std::out_of_range("far"); }), std::out_of_range);
    EXPECT_EQ(*worker.run(-1, current_netns_id), home_id_);
    EXPECT_EQ(*worker.run(other_.get(), current_netns_id), id_of(other_));
}

TEST_F(Netns, WorkerRefusesWhatIsNoNamespaceAndStaysUsable) {
    NetnsWorker worker;
    const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    // A namespace of another kind must not be entered either.
    const UniqueFd mounts(::open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
    for (const int fd : {file.get(), mounts.get(), 100'000}) {
        bool ran = false;
        EXPECT_EQ(error_of(worker.run(fd, [&] { ran = true; })).code, Code::kernel);
        EXPECT_FALSE(ran);
    }
    EXPECT_EQ(*worker.run(-1, current_netns_id), home_id_);
    EXPECT_EQ(*worker.run(other_.get(), current_netns_id), id_of(other_));
}

TEST_F(Netns, WorkerServesManyCallers) {
    NetnsWorker worker;
    const auto other_id = id_of(other_);
    std::atomic<int> wrong = 0;
    std::array<std::thread, 4> callers;
    for (std::size_t caller = 0; caller < callers.size(); ++caller)
        callers[caller] = std::thread([&, caller] {
            for (std::size_t i = 0; i < 100; ++i) {
                const bool away = (caller + i) % 2 == 0;
                if (*worker.run(away ? other_.get() : -1, current_netns_id) != (away ? other_id : home_id_)) ++wrong;
                if (current_netns_id() != home_id_) ++wrong;
            }
        });
    for (auto& caller : callers) caller.join();
    EXPECT_EQ(wrong, 0);
}

TEST_F(Netns, NetlinkStaysWhereItWasOpened) {
    NetnsWorker worker;
    auto inside = worker.run(other_.get(), [] { return Netlink::open(); });
    ASSERT_OK(inside);
    EXPECT_OK(netlink().link_by_name("a0"));
    EXPECT_EQ(error_of(inside->link_by_name("a0")).code, Code::no_device);
    run("ip link set b0 netns /proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(other_.get()));
    const auto b = inside->link_by_name("b0");
    ASSERT_OK(b);
    EXPECT_OK(inside->add_htb(b->ifindex, {.rate_bps = 1'000'000, .leaf_limit_bytes = 1000}));
    const auto shown = worker.run(other_.get(), [] { return run("tc qdisc show dev b0"); });
    ASSERT_OK(shown);
    EXPECT_THAT(*shown, HasSubstr("qdisc htb 4e41: root"));
}

// To go on in a pod's namespace would be worse than to end.
TEST_F(Netns, WorkerThatCannotReturnEndsTheProcess) {
    ::testing::FLAGS_gtest_death_test_style = "threadsafe";
    const auto visit_and_lose_the_right_to_return = [this] {
        NetnsWorker worker;
        (void)worker.run(other_.get(), [] {
            __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
            __user_cap_data_struct none[2]{};
            if (::syscall(SYS_capset, &header, none) < 0) throw std::system_error(errno, std::generic_category());
        });
    };
    EXPECT_EXIT(visit_and_lose_the_right_to_return(), ::testing::KilledBySignal(SIGABRT), "cannot return");
}

}  // namespace
}  // namespace natra::datapath::testing
