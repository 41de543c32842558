// SPDX-License-Identifier: Apache-2.0
// natrad is given a namespace that it could not open by itself, as with /proc/PID/ns/net and without CAP_SYS_PTRACE.
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "tests/netlink/privileges.hpp"
#include "tests/netlink/registry_world.hpp"

namespace natra::pods::testing {
namespace {

class Unreachable : public Registries {
protected:
    void SetUp() override {
        Registries::SetUp();
        in_pod("ip link add inside0 type veth peer name inside1");
        in_pod("ip link set inside0 up");
        const auto closed = folder_.path() + "/closed";
        std::filesystem::create_directory(closed);
        std::filesystem::create_symlink(netns_path(), closed + "/netns");
        constexpr unsigned nobody = 65534;
        ASSERT_EQ(::chown(closed.c_str(), nobody, nobody), 0);
        ASSERT_EQ(::chmod(closed.c_str(), 0700), 0);
        // Threads take over what the one that starts them may.
        few_.emplace();
        start();
        adopt();
    }
    void TearDown() override {
        Registries::TearDown();
        few_.reset();
    }
    [[nodiscard]] AttachRequest request_for(const std::string& interface) const {
        auto out = request();
        out.interface_name = interface;
        out.netns_path = folder_.path() + "/closed/netns";
        return out;
    }

    std::optional<WithoutDacOverride> few_;
};

TEST_F(Unreachable, InterfacesWithoutAHostSideAreLimited) {
    const auto attached = attach(request_for("inside0"));
    ASSERT_OK(attached);
    const auto* const pod = registry_->find("pod1__inside0");
    ASSERT_NE(pod, nullptr);
    worker_->wait_idle();
    EXPECT_OK(engine_->check(pod->kernel, pod_.get()));
    // That the limits cannot be looked after is said.
    EXPECT_TRUE(eventually([&] {
        const auto troubles = registry_->troubles();
        return std::any_of(troubles.begin(), troubles.end(), [](const std::string& each) {
            return each.find("inside0") != std::string::npos && each.find("Permission denied") != std::string::npos;
        });
    }));
}

TEST_F(Unreachable, TheSameInterfaceIsNotLimitedForTwo) {
    ASSERT_OK(attach(request_for("inside0")));
    auto other = request_for("inside0");
    other.container_id = "pod2";
    const auto error = datapath::testing::error_of(attach(other));
    EXPECT_EQ(error.code, Error::Code::already_exists);
}

TEST_F(Unreachable, TheProgramInsideLimitsNothingAfterDel) {
    for (const auto* const interface : {"inside0", "eth0"}) {
        SCOPED_TRACE(interface);
        ASSERT_OK(attach(request_for(interface)));
        const auto kernel = registry_->find(std::string("pod1__") + interface)->kernel;
        ASSERT_TRUE(kernel.egress);
        ASSERT_NE(kernel.egress->config().mode, static_cast<unsigned>(NATRA_MODE_OFF));
        EXPECT_OK(answer_of<Result<void>>([&](auto done) {
            registry_->detach({.container_id = "pod1", .interface_name = interface, .network = "lab"}, done);
        }));
        EXPECT_EQ(kernel.egress->config().mode, static_cast<unsigned>(NATRA_MODE_OFF));
    }
}

}  // namespace
}  // namespace natra::pods::testing
