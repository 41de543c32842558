// SPDX-License-Identifier: Apache-2.0
// A limit is lifted while packets wait behind it.
#include "daemon/util/files.hpp"
#include "tests/netlink/engine_world.hpp"

namespace natra::datapath::testing {
namespace {

struct Case {
    const char* name;
    Direction direction;
    Shaper shaper;
    int frames;  // that wait at most as long as the program lets them
};

class Lift : public Engines, public ::testing::WithParamInterface<Case> {};

TEST_P(Lift, LosesNothingThatWaits) {
    const auto& [name, direction, shaper, frames] = GetParam();
    if (shaper == Shaper::edt && !engine_->features().fq) GTEST_SKIP() << "this kernel has no sch_fq";
    // Whatever is sent belongs to a heavy flow.
    const Rate slow{.rate_bps = 2'000'000, .heavy_threshold_bytes = 1};
    Rates rates;
    rates.of(direction) = slow;
    auto attached = engine_->attach({.id = "pod1",
                                     .netns_fd = pod_.get(),
                                     .netns_path = netns_path(),
                                     .device = "eth0",
                                     .rates = rates,
                                     .wish = {.shaper = shaper, .shaper_by = "the test"}});
    ASSERT_OK(attached);
    ASSERT_TRUE(attached->record.of(direction));
    ASSERT_EQ(attached->record.of(direction)->shaper, shaper);
    tell_what_is_refused(*attached, direction);
    auto sent = wire(direction);
    // A machine that is busy enough sends them all before this thread gets to the change. Then the flow has had more
    // than its share, and fewer pass.
    bool waited = false;
    for (int attempt = 0; attempt < 20 && !waited; ++attempt) {
        const int passed = sent.send_what_passes(frames);
        const int before = sent.receive(passed, 0);
        waited = before < passed;
        if (!waited) continue;
        EXPECT_OK(change_drained(*attached, {}));
        EXPECT_EQ(before + sent.receive(passed - before), passed);
    }
    EXPECT_TRUE(waited);
    EXPECT_FALSE(attached->record.of(direction));
    EXPECT_OK(engine_->detach(*attached));
}

// Another direction's change, or the pod's end, may come in between.
TEST_P(Lift, IsUndoneOrCutShort) {
    const auto& [name, direction, shaper, frames] = GetParam();
    if (shaper == Shaper::edt && !engine_->features().fq) GTEST_SKIP() << "this kernel has no sch_fq";
    Rates rates;
    rates.of(direction) = Rate{.rate_bps = 2'000'000, .heavy_threshold_bytes = 1};
    auto attached = engine_->attach({.id = "pod1",
                                     .netns_fd = pod_.get(),
                                     .netns_path = netns_path(),
                                     .device = "eth0",
                                     .rates = rates,
                                     .wish = {.shaper = shaper, .shaper_by = "the test"}});
    ASSERT_OK(attached);
    wire(direction).send(frames);
    EXPECT_TRUE(engine_->prepare_change(*attached, {}).any());
    EXPECT_EQ(attached->instance(direction)->config().mode, NATRA_MODE_OFF);
    // The limit stays after all.
    EXPECT_OK(engine_->change(*attached, rates));
    EXPECT_OK(engine_->check(*attached, pod_.get()));
    EXPECT_NE(attached->instance(direction)->config().mode, NATRA_MODE_OFF);
    // natrad dies.
    EXPECT_TRUE(engine_->prepare_change(*attached, {}).any());
    const auto recorded = attached->record;
    attached = fail(Error::Code::internal, "natrad died");
    restart();
    attached = engine_->adopt(recorded);
    ASSERT_OK(attached);
    EXPECT_OK(engine_->check(*attached, pod_.get()));
    // The pod goes.
    EXPECT_TRUE(engine_->prepare_change(*attached, {}).any());
    EXPECT_OK(engine_->detach(*attached));
    EXPECT_EQ(files::list(pins_.path("pins")), std::vector<std::string>{});
}

TEST_F(Engines, ALiftThatFailsLeavesTheLimitInForce) {
    UniqueFd door(::dup(pod_.get()));
    const auto path = "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(door.get());
    auto attached = engine_->attach({.id = "pod1",
                                     .netns_fd = pod_.get(),
                                     .netns_path = path,
                                     .device = "eth0",
                                     .rates = {.ingress = {}, .egress = rate}});
    ASSERT_OK(attached);
    ASSERT_TRUE(attached->record.egress->pod_side);
    const auto mode = attached->instance(Direction::egress)->config().mode;
    EXPECT_TRUE(engine_->prepare_change(*attached, {}).any());
    EXPECT_EQ(attached->instance(Direction::egress)->config().mode, NATRA_MODE_OFF);
    door.reset();
    EXPECT_FALSE(engine_->change(*attached, {}));
    EXPECT_TRUE(attached->record.egress);
    EXPECT_EQ(attached->instance(Direction::egress)->config().mode, mode);
}

INSTANTIATE_TEST_SUITE_P(All, Lift,
                         ::testing::Values(Case{"htb_egress", Direction::egress, Shaper::htb, 50},
                                           Case{"htb_ingress", Direction::ingress, Shaper::htb, 10},
                                           Case{"edt_egress", Direction::egress, Shaper::edt, 50},
                                           Case{"edt_ingress", Direction::ingress, Shaper::edt, 10}),
                         [](const auto& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace natra::datapath::testing
