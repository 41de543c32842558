// SPDX-License-Identifier: Apache-2.0
// The kernel is short of something for a moment: that is no reason to be content with a worse shaper for good.
#include <gmock/gmock.h>
#include <linux/rtnetlink.h>

#include <cerrno>

#include "tests/netlink/faults.hpp"
#include "tests/netlink/registry_world.hpp"

namespace natra::pods::testing {
namespace {

using datapath::Direction;
using datapath::Shaper;
using datapath::testing::error_of;
using datapath::testing::FailingRequests;
using datapath::testing::RefusedRequest;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class PassingErrors : public Registries {
protected:
    void SetUp() override {
        Registries::SetUp();
        if (!engine_->features().htb) GTEST_SKIP() << "this kernel has no sch_htb";
        adopt();
    }
    Result<datapath::Attached> attach_egress(std::optional<Shaper> shaper = Shaper::htb) {
        return engine_->attach({.id = "pod1",
                                .netns_fd = pod_.get(),
                                .netns_path = netns_path(),
                                .device = "eth0",
                                .rates = {.ingress = {}, .egress = datapath::testing::rate},
                                .wish = {.shaper = shaper, .shaper_by = "the test"}});
    }
    [[nodiscard]] AttachRequest with_htb() const {
        auto out = request();
        out.pins.shaper = Shaper::htb;
        return out;
    }
    [[nodiscard]] const datapath::ShapingRecord& egress() const { return *registry_->find(id)->kernel.record.egress; }
};

struct Fault {
    const char* name;
    int type;
    int error;
};
class OneFault : public PassingErrors, public ::testing::WithParamInterface<Fault> {};
INSTANTIATE_TEST_SUITE_P(Requests, OneFault,
                         ::testing::Values(Fault{"Qdisc", RTM_NEWQDISC, ENOMEM}, Fault{"Class", RTM_NEWTCLASS, ENOMEM},
                                           Fault{"Filter", RTM_NEWTFILTER, ENOMEM},
                                           Fault{"Buffers", RTM_NEWQDISC, ENOBUFS}, Fault{"Busy", RTM_NEWTCLASS, EBUSY},
                                           Fault{"Again", RTM_NEWTFILTER, EAGAIN}),
                         [](const auto& of) { return std::string(of.param.name); });

TEST_P(OneFault, DoesNotDecideOnTheShaper) {
    const FailingRequests fault(GetParam().type, GetParam().error, 1);
    const auto attached = attach_egress();
    ASSERT_OK(attached);
    EXPECT_TRUE(fault.happened());
    EXPECT_EQ(attached->record.egress->shaper, Shaper::htb) << attached->record.egress->reason.text();
    EXPECT_EQ(attached->record.egress->provisional, "");
    EXPECT_OK(engine_->check(*attached, pod_.get()));
}

// What the kernel has not will not come.
TEST_F(PassingErrors, AbsenceLeadsToTheNextShaperForGood) {
    const RefusedRequest absent(RTM_NEWTCLASS, 1);
    const auto attached = attach_egress();
    ASSERT_OK(attached);
    EXPECT_TRUE(absent.happened());
    EXPECT_NE(attached->record.egress->shaper, Shaper::htb);
    EXPECT_EQ(attached->record.egress->provisional, "");
}

TEST_F(PassingErrors, ThatStayAWhileAreToldAndTriedAgain) {
    {
        const FailingRequests fault(RTM_NEWTCLASS, ENOMEM);
        ASSERT_OK(attach(with_htb()));
        EXPECT_NE(egress().shaper, Shaper::htb);
        EXPECT_OK(whole());
        EXPECT_THAT(registry_->troubles(), Contains(HasSubstr("for now: htb: ")));
        // A look that finds no remedy leaves the limit in force.
        EXPECT_TRUE(eventually(
            [&] { return ::testing::Value(registry_->troubles(), Contains(HasSubstr("not limited as asked"))); }));
        EXPECT_OK(whole());
    }
    EXPECT_TRUE(eventually([&] { return egress().shaper == Shaper::htb; }));
    EXPECT_OK(whole());
    EXPECT_EQ(registry_->find(id)->kernel.record.ingress->shaper, Shaper::htb);
    EXPECT_TRUE(eventually([&] { return registry_->troubles().empty(); }));
    EXPECT_EQ(registry_->tamper_events(), 0U) << "nobody has done anything";
}

TEST_F(PassingErrors, AreTriedAgainByTheNextNatrad) {
    {
        const FailingRequests fault(RTM_NEWTCLASS, ENOMEM);
        ASSERT_OK(attach(with_htb()));
        start();
    }
    adopt();
    EXPECT_TRUE(eventually([&] { return egress().shaper == Shaper::htb; }));
    EXPECT_OK(whole());
}

TEST_F(PassingErrors, EndASwitchWithTheOldShaperInForce) {
    auto attached = attach_egress(Shaper::police);
    ASSERT_OK(attached);
    const auto before = attached->record;
    const datapath::Wish wish{.shaper = Shaper::htb, .shaper_by = "the test"};
    {
        const FailingRequests fault(RTM_NEWTCLASS, ENOMEM);
        EXPECT_EQ(error_of(engine_->switch_to(*attached, wish, {})).sys, ENOMEM);
        EXPECT_EQ(attached->record.egress->shaper, Shaper::police);
        EXPECT_EQ(attached->record.wish, before.wish);
        EXPECT_OK(engine_->check(*attached, pod_.get()));
    }
    ASSERT_OK(engine_->switch_to(*attached, wish, {}));
    EXPECT_EQ(attached->record.egress->shaper, Shaper::htb);
}

// Nothing works: the runtime is to try again, and so is the spool.
TEST_F(PassingErrors, OfEveryShaperAreUnavailable) {
    const FailingRequests fault(RTM_NEWTFILTER, ENOMEM);
    auto asked = request();
    asked.pins.attach_mode = datapath::AttachMode::clsact;
    const auto attached = attach(asked);
    if (attached) GTEST_SKIP() << "tcx needs no filter";
    EXPECT_EQ(attached.error().code, Error::Code::unavailable);
    EXPECT_THAT(engine_->pinned(), IsEmpty());
}

}  // namespace
}  // namespace natra::pods::testing
