// SPDX-License-Identifier: Apache-2.0
// A pod's namespace that cannot be entered for once, at any point of an operation.
#include <gmock/gmock.h>

#include <cerrno>

#include "daemon/util/files.hpp"
#include "tests/netlink/engine_world.hpp"
#include "tests/netlink/faults.hpp"

namespace natra::datapath::testing {
namespace {

using ::testing::IsEmpty;

constexpr int enough_visits = 30;

class Visits : public Engines {
protected:
    void SetUp() override {
        Engines::SetUp();
        before_ = seen();
    }
    [[nodiscard]] std::string seen() const {
        return in_pod("tc qdisc show dev eth0; tc filter show dev eth0 egress") +
               run("tc qdisc show dev p0; tc filter show dev p0 egress; tc filter show dev p0 ingress");
    }
    Result<Attached> attach(AttachMode mode) {
        return engine_->attach({.id = "pod1",
                                .netns_fd = pod_.get(),
                                .netns_path = netns_path(),
                                .device = "eth0",
                                .rates = {.ingress = rate, .egress = rate},
                                .wish = {.attach_mode = mode, .attach_mode_by = "the test"}});
    }
    std::string before_;
};

// EPERM will not pass, ENOMEM may; of neither is anything left that is recorded nowhere.
TEST_F(Visits, ThatFailLeaveAWholeLimitOrNothing) {
    for (const auto mode : {AttachMode::automatic, AttachMode::clsact, AttachMode::tcx})
        for (const int error : {EPERM, ENOMEM}) {
            if (mode == AttachMode::tcx && !engine_->features().tcx) continue;
            int failed = 0;
            bool reached = true;
            for (int nth = 1; reached; ++nth) {
                SCOPED_TRACE(concat(to_string(mode), ", errno ", error, ", visit ", nth));
                ASSERT_LT(nth, enough_visits);
                Result<Attached> attached = fail(Error::Code::internal, "not tried");
                {
                    const RefusedVisit refused(nth, error);
                    ASSERT_NO_THROW(attached = attach(mode));
                    reached = refused.happened();
                }
                if (attached) {
                    EXPECT_OK(engine_->check(*attached, pod_.get()));
                    ASSERT_OK(engine_->detach(*attached));
                } else {
                    ++failed;
                }
                EXPECT_EQ(seen(), before_);
                EXPECT_THAT(files::list(pins_.path("pins")), IsEmpty());
                EXPECT_TRUE(reached || attached);
            }
            EXPECT_GT(failed, 0) << "no visit failed";
        }
}

TEST_F(Visits, ThatFailInALookAreNobodysDoing) {
    auto attached = attach(AttachMode::automatic);
    ASSERT_OK(attached);
    bool reached = true;
    for (int nth = 1; reached; ++nth) {
        SCOPED_TRACE(concat("visit ", nth));
        ASSERT_LT(nth, enough_visits);
        const RefusedVisit refused(nth, ENOMEM);
        Result<Mended> mended = fail(Error::Code::internal, "not tried");
        ASSERT_NO_THROW(mended = engine_->mend(*attached, attached->record.rates(), Remedy::backstop));
        reached = refused.happened();
        if (!mended) continue;
        EXPECT_FALSE(mended->pod_side || mended->host_side);
        // The way in is tried by every look; of the rest a failure is told, and leads to the next look.
        EXPECT_TRUE(nth == 1 || mended->failed.empty() != reached);
    }
    EXPECT_OK(engine_->check(*attached, pod_.get()));
    ASSERT_OK(engine_->detach(*attached));
}

}  // namespace
}  // namespace natra::datapath::testing
