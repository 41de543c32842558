// SPDX-License-Identifier: Apache-2.0
// A change is answered with success when it is in force and recorded, else nothing has changed.
#include <gmock/gmock.h>

#include <filesystem>

#include "daemon/pods/state_file.hpp"
#include "daemon/util/files.hpp"
#include "tests/netlink/registry_world.hpp"

namespace natra::pods::testing {
namespace {

using datapath::Direction;
using ::testing::Contains;
using ::testing::HasSubstr;

// Of an attachment whose folder of records is away, which is to a writer what a full disk is.
class Unrecorded : public Registries {
protected:
    void SetUp() override {
        Registries::SetUp();
        adopt();
        ASSERT_OK(attach(request()));
        take_folder_away();
    }
    void take_folder_away() { std::filesystem::rename(states(), away()); }
    void put_folder_back() { std::filesystem::rename(away(), states()); }
    // Nothing has changed but that natrad could not write.
    void expect_as_attached() {
        for (const auto direction : datapath::directions) EXPECT_EQ(in_force(direction), rate_bps);
        EXPECT_OK(whole());
        const auto* const pod = registry_->find(id);
        ASSERT_NE(pod, nullptr);
        EXPECT_FALSE(pod->changes.any());
        EXPECT_EQ(pod->changes.by, "");
        EXPECT_EQ(pod->effective.ingress.rate_bps, rate_bps);
        EXPECT_EQ(pod->effective.egress.rate_bps, rate_bps);
        EXPECT_EQ(registry_->statistics().limit_changes, 0U);
    }
    void expect_refused(const Result<void>& result) {
        const auto error = datapath::testing::error_of(result);
        EXPECT_EQ(error.code, Error::Code::unavailable);
        EXPECT_THAT(error.what, HasSubstr("cannot be recorded"));
        EXPECT_THAT(error.what, HasSubstr(states()));
    }

private:
    [[nodiscard]] std::string away() const { return folder_.path() + "/away"; }
};

TEST_F(Unrecorded, LimitsAreRefusedAndTheOldOnesStay) {
    Override changes;
    changes.ingress.rate_bps = rate_bps / 2;
    expect_refused(set_limits(changes));
    expect_as_attached();
}

TEST_F(Unrecorded, LiftsAreRefusedAndTheLimitsStay) {
    Override changes;
    changes.ingress.rate_bps = 0;
    changes.egress.rate_bps = 0;
    expect_refused(set_limits(changes));
    expect_as_attached();
}

TEST_F(Unrecorded, ResetsAreRefusedAndTheOverrideStays) {
    put_folder_back();
    Override changes;
    changes.egress.rate_bps = rate_bps / 2;
    ASSERT_OK(set_limits(changes));
    take_folder_away();
    expect_refused(answer_of<Result<void>>([&](auto done) { registry_->reset_limits(id, "the test", done); }));
    EXPECT_EQ(in_force(Direction::egress), rate_bps / 2);
    EXPECT_EQ(registry_->find(id)->changes.egress.rate_bps, rate_bps / 2);
    EXPECT_OK(whole());
}

TEST_F(Unrecorded, SwitchesAreRefusedAndTheDataPathStays) {
    const auto before = registry_->find(id)->kernel.record;
    if (before.egress->shaper == datapath::Shaper::police) GTEST_SKIP() << "this kernel has no other shaper";
    const PinsChange police{.attach_mode = {}, .edt_pacing = {}, .shaper = std::optional(datapath::Shaper::police)};
    expect_refused(answer_of<Result<void>>([&](auto done) { registry_->set_data_path(id, police, "the test", done); }));
    expect_as_attached();
    const auto& now = registry_->find(id)->kernel.record;
    for (const auto direction : datapath::directions)
        EXPECT_EQ(now.of(direction)->shaper, before.of(direction)->shaper);
    EXPECT_EQ(now.wish, before.wish);
}

TEST_F(Unrecorded, AttachmentsAreToldOfUntilTheyAreRecorded) {
    Override changes;
    changes.ingress.rate_bps = rate_bps / 2;
    expect_refused(set_limits(changes));
    const auto told = HasSubstr("a restart of natrad would forget its last change");
    EXPECT_THAT(registry_->troubles(), Contains(told));
    registry_->audit();
    worker_->wait_idle();
    (void)run_due();
    EXPECT_THAT(registry_->troubles(), Contains(told)) << "it is still not recorded";
    put_folder_back();
    registry_->audit();
    EXPECT_TRUE(eventually([&] { return registry_->troubles().empty(); }));
}

// As a restart shows.
TEST_F(Unrecorded, ChangesAreNotInForceAfterARestartEither) {
    Override changes;
    changes.ingress.rate_bps = rate_bps / 2;
    expect_refused(set_limits(changes));
    put_folder_back();
    start();
    adopt();
    expect_as_attached();
}

}  // namespace
}  // namespace natra::pods::testing
