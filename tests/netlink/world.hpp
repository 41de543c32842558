// SPDX-License-Identifier: Apache-2.0
// A network namespace of its own for each test, and iproute2 as a witness that
// shares no code with ours.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "daemon/datapath/netlink.hpp"
#include "daemon/datapath/netns.hpp"
#include "daemon/util/unique_fd.hpp"

namespace natra::datapath::testing {

// What a command prints, both streams. Fails the test unless it exits with 0 within 20 s.
std::string run(const std::string& command);
nlohmann::json run_json(const std::string& command);

// The network namespace of the calling thread.
UniqueFd current_netns();
NetnsId current_netns_id();
// A namespace that no process is in.
UniqueFd make_netns();

// A direct-action program that passes everything on.
struct Program {
    UniqueFd fd;
    std::uint32_t id = 0;
};
Program load_program();

// A folder for pins, gone with all that is in it when the test is over.
class BpfFolder {
public:
    BpfFolder();
    ~BpfFolder();
    BpfFolder(const BpfFolder&) = delete;
    BpfFolder& operator=(const BpfFolder&) = delete;
    [[nodiscard]] std::string path(const std::string& name = "") const { return path_ + "/" + name; }

private:
    std::string path_;
};

// Moves the test's thread into a fresh namespace with the veth pair a0 - b0, both up.
class World : public ::testing::Test {
protected:
    void SetUp() override;
    void TearDown() override;

    Netlink& netlink() { return *netlink_; }
    static int ifindex(const std::string& device);
    // "htb 4e41:", "noqueue 0:"; what `tc` shows at the root of a device.
    static std::string root_of(const std::string& device);
    static bool has_clsact(const std::string& device);
    static constexpr int absent_ifindex = 4711;

private:
    UniqueFd home_;
    std::optional<Netlink> netlink_;
};

// The error of a call that has to fail.
template <class T> Error error_of(Result<T> result) {
    if (!result) return std::move(result).error();
    ADD_FAILURE() << "succeeded";
    return {Error::Code::internal, 0, "succeeded"};
}
#define EXPECT_OK(call)                                                                                                \
    do {                                                                                                               \
        const auto& result_ = (call);                                                                                  \
        EXPECT_TRUE(result_) << result_.error().what;                                                                  \
    } while (false)
#define ASSERT_OK(call)                                                                                                \
    do {                                                                                                               \
        const auto& result_ = (call);                                                                                  \
        ASSERT_TRUE(result_) << result_.error().what;                                                                  \
    } while (false)

}  // namespace natra::datapath::testing
