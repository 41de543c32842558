// SPDX-License-Identifier: Apache-2.0
// Why a direction has its shaper and its hook, as operators read it.
#include <gmock/gmock.h>

#include "tests/netlink/engine_world.hpp"

namespace natra::datapath::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Reasons : public Engines {
protected:
    Attached attach(AttachMode mode, const std::string& by) {
        auto attached = engine_->attach(
            {.id = "pod1",
             .netns_fd = pod_.get(),
             .netns_path = netns_path(),
             .device = "eth0",
             .rates = {.ingress = {}, .egress = rate},
             .wish = {.attach_mode = mode, .shaper = Shaper::htb, .attach_mode_by = by, .shaper_by = "the test"}});
        EXPECT_TRUE(attached) << attached.error().what;
        return attached ? *std::move(attached) : Attached{};
    }
    // A place that clsact cannot have.
    void add_ingress_qdisc() { in_pod("tc qdisc add dev eth0 handle ffff: ingress"); }
    static Wish clsact_by(const std::string& by) {
        return {
            .attach_mode = AttachMode::clsact, .shaper = Shaper::htb, .attach_mode_by = by, .shaper_by = "the test"};
    }
    static const Reason& reason(const Attached& attached) { return attached.record.egress->reason; }
};

TEST_F(Reasons, AreTheSameAfterAnyNumberOfRepairs) {
    auto attached = attach(AttachMode::clsact, "one file; and another");
    ASSERT_TRUE(attached.record.egress);
    const auto before = reason(attached);
    EXPECT_THAT(before.text(), AllOf(StartsWith("htb"), HasSubstr("; clsact by one file; and another")));
    for (int repair = 0; repair < 3; ++repair) {
        in_pod("tc filter del dev eth0 egress");
        const auto mended = engine_->mend(attached, attached.record.rates(), Remedy::put_back);
        ASSERT_OK(mended);
        EXPECT_TRUE(mended->any());
        EXPECT_EQ(mended->failed, std::vector<std::string>{});
        EXPECT_EQ(reason(attached), before);
    }
}

TEST_F(Reasons, NameTheHookInForceWhereTheAskedOneIsNot) {
    add_ingress_qdisc();
    auto attached = attach(AttachMode::clsact, "configuration");
    ASSERT_TRUE(attached.record.egress);
    ASSERT_EQ(attached.record.egress->hook.kind, HookKind::htb);
    const auto before = reason(attached);
    EXPECT_THAT(before.hook, AllOf(StartsWith("htb: "), HasSubstr("clsact by configuration: not possible here")));
    in_pod("tc filter del dev eth0 parent 4e41: prio 1");
    const auto mended = engine_->mend(attached, attached.record.rates(), Remedy::put_back);
    ASSERT_OK(mended);
    EXPECT_TRUE(mended->any());
    EXPECT_EQ(reason(attached), before);
    // Nobody asks for it any more, or somebody else does.
    ASSERT_OK(engine_->switch_to(attached, {.shaper = Shaper::htb, .shaper_by = "the test"}, {}));
    EXPECT_THAT(reason(attached).hook, AllOf(StartsWith("htb: "), Not(HasSubstr("configuration"))));
    ASSERT_OK(engine_->switch_to(attached, clsact_by("an operator"), {}));
    EXPECT_THAT(reason(attached).hook, HasSubstr("clsact by an operator"));
    EXPECT_OK(engine_->check(attached, pod_.get()));
}

TEST_F(Reasons, AskedForAndNotPossibleIsAnErrorWhereRequired) {
    add_ingress_qdisc();
    auto attached = attach(AttachMode::clsact, "configuration");
    ASSERT_TRUE(attached.record.egress);
    const auto before = reason(attached);
    const auto refused = error_of(engine_->switch_to(attached, clsact_by("an operator"), {.attach_mode = true}));
    EXPECT_EQ(refused.code, Error::Code::unsupported);
    EXPECT_THAT(refused.what, HasSubstr("AttachMode: \"clsact\""));
    EXPECT_EQ(reason(attached), before);
    EXPECT_OK(engine_->check(attached, pod_.get()));
}

TEST_F(Reasons, OfASwitchToClsactTellThatItEndedOnHtb) {
    if (!engine_->features().tcx) GTEST_SKIP() << "this kernel has no tcx";
    add_ingress_qdisc();
    auto attached = attach(AttachMode::automatic, "");
    ASSERT_TRUE(attached.record.egress);
    ASSERT_EQ(attached.record.egress->hook.kind, HookKind::tcx);
    const auto before = reason(attached);
    EXPECT_EQ(error_of(engine_->switch_to(attached, clsact_by("an operator"), {.attach_mode = true})).code,
              Error::Code::unsupported);
    EXPECT_EQ(attached.record.egress->hook.kind, HookKind::tcx);
    EXPECT_EQ(reason(attached), before);
    EXPECT_OK(engine_->check(attached, pod_.get()));
    ASSERT_OK(engine_->switch_to(attached, clsact_by("an operator"), {}));
    EXPECT_EQ(attached.record.egress->hook.kind, HookKind::htb);
    EXPECT_THAT(reason(attached).hook, AllOf(StartsWith("htb: "), HasSubstr("clsact by an operator")));
    EXPECT_OK(engine_->check(attached, pod_.get()));
}

}  // namespace
}  // namespace natra::datapath::testing
