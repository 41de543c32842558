// SPDX-License-Identifier: Apache-2.0
// A record that natrad cannot take over: the limits that it stands for stay in force, and everybody is told.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "daemon/pods/state_file.hpp"
#include "daemon/util/files.hpp"
#include "daemon/util/utf8.hpp"
#include "tests/netlink/registry_world.hpp"

namespace natra::pods::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// What is in force must not depend on the hook: a tcx link is gone with its pin, a filter is not.
class Unadopted : public Registries, public ::testing::WithParamInterface<datapath::AttachMode> {
protected:
    void SetUp() override {
        Registries::SetUp();
        if (GetParam() == datapath::AttachMode::tcx && !engine_->features().tcx) GTEST_SKIP() << "no tcx";
        adopt();
        auto asked = request();
        asked.pins.attach_mode = GetParam();
        ASSERT_OK(attach(asked));
        kernel_ = registry_->find(id)->kernel;
        const auto text = files::read(record(), 1 << 20);
        ASSERT_OK(text);
        text_ = *text;
    }
    void restart_with(const std::string& record_text) {
        write(record_text);
        start();
        adopt();
    }
    void write(const std::string& record_text) {
        std::ofstream(record(), std::ios::trunc | std::ios::binary) << record_text;
    }
    void expect_left_in_force() {
        worker_->wait_idle();
        EXPECT_OK(engine_->check(kernel_, pod_.get()));
        EXPECT_EQ(registry_->find(id), nullptr);
        EXPECT_THAT(registry_->troubles(), ElementsAre(AllOf(HasSubstr(id), HasSubstr(record()))));
        EXPECT_EQ(registry_->statistics().adoptions.failed, 1U);
    }

    std::string text_;
    datapath::Attached kernel_;
};
INSTANTIATE_TEST_SUITE_P(Hooks, Unadopted, ::testing::Values(datapath::AttachMode::clsact, datapath::AttachMode::tcx),
                         [](const auto& of) { return std::string(to_string(of.param)); });

TEST_P(Unadopted, ACutRecordLeavesItsLimitsInForce) {
    restart_with(text_.substr(0, text_.size() - 20));
    expect_left_in_force();
}

TEST_P(Unadopted, AnotherNatradsRecordLeavesItsLimitsInForce) {
    auto newer = text_;
    newer.replace(newer.find("\"version\": 1"), 12, "\"version\": 7");
    restart_with(newer);
    expect_left_in_force();
    EXPECT_THAT(registry_->troubles(), Contains(HasSubstr("version: 7 is not 1")));
    EXPECT_EQ(*files::read(record(), 1 << 20), newer) << "the natrad that wrote it may come back";
}

TEST_P(Unadopted, BytesThatNoTextHasAreTold) {
    restart_with("{\"version\": \"\xff\xfe");
    expect_left_in_force();
    for (const auto& sentence : registry_->troubles()) EXPECT_TRUE(is_utf8(sentence));
}

TEST_P(Unadopted, AFolderThatCannotBeListedLeavesItsLimitsInForce) {
    const auto aside = folder_.path() + "/aside";
    std::filesystem::rename(states(), aside);
    std::ofstream(states()) << "in its place";
    start();
    adopt();
    worker_->wait_idle();
    EXPECT_OK(engine_->check(kernel_, pod_.get()));
    EXPECT_THAT(registry_->troubles(), ElementsAre(AllOf(HasSubstr(id), HasSubstr(states()))));
    std::filesystem::remove(states());
    std::filesystem::rename(aside, states());
    EXPECT_TRUE(eventually([&] { return registry_->find(id) != nullptr; }));
    EXPECT_OK(whole());
}

TEST_P(Unadopted, IsTakenOverWhenItsRecordIsRight) {
    restart_with("");
    expect_left_in_force();
    write(text_);
    EXPECT_TRUE(eventually([&] { return registry_->find(id) != nullptr; }));
    EXPECT_OK(whole());
    EXPECT_EQ(registry_->find(id)->kernel.ingress->prog_id(), kernel_.ingress->prog_id());
    EXPECT_THAT(registry_->troubles(), IsEmpty());
}

TEST_P(Unadopted, EndsWithItsRecord) {
    restart_with("");
    expect_left_in_force();
    std::filesystem::remove(record());
    EXPECT_TRUE(eventually([&] { return registry_->troubles().empty(); }));
    worker_->wait_idle();
    EXPECT_THAT(engine_->pinned(), IsEmpty());
}

TEST_P(Unadopted, EndsWithADel) {
    restart_with("");
    expect_left_in_force();
    EXPECT_OK(detach());
    EXPECT_THAT(registry_->troubles(), IsEmpty());
    EXPECT_THAT(engine_->pinned(), IsEmpty());
    EXPECT_FALSE(std::filesystem::exists(record()));
}

TEST_P(Unadopted, IsReplacedByAnAdd) {
    restart_with("");
    expect_left_in_force();
    ASSERT_OK(attach(request()));
    EXPECT_OK(whole());
    EXPECT_THAT(registry_->troubles(), IsEmpty());
    EXPECT_OK(pod_from_json(*files::read(record(), 1 << 20)));
}

// What a runtime's cache says is older than what an operator may have set.
TEST_P(Unadopted, IsNotReplacedByAPodThatIsFoundRunning) {
    restart_with("");
    auto found = request();
    found.running.emplace();
    EXPECT_EQ(datapath::testing::error_of(attach(found)).code, Error::Code::already_exists);
    expect_left_in_force();
}

TEST_P(Unadopted, FailsItsCheck) {
    restart_with("");
    const auto checked = answer_of<Result<void>>(
        [&](auto done) { registry_->check(request(), UniqueFd(::fcntl(pod_.get(), F_DUPFD_CLOEXEC, 3)), done); });
    const auto error = datapath::testing::error_of(checked);
    EXPECT_EQ(error.code, Error::Code::mismatch);
    EXPECT_THAT(error.what, HasSubstr(record()));
}

}  // namespace
}  // namespace natra::pods::testing
