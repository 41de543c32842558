// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/hook.hpp"

#include <bpf/bpf.h>
#include <linux/pkt_sched.h>

#include <algorithm>
#include <optional>

#include "daemon/datapath/features.hpp"
#include "tests/netlink/world.hpp"

namespace natra::datapath::testing {
namespace {

constexpr std::uint32_t ingress = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
constexpr std::uint32_t egress = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS);

// The egress hook of a0.
class Hooks : public World {
protected:
    void SetUp() override {
        World::SetUp();
        worker_.emplace();  // at home where the test is now
        a_ = ifindex("a0");
    }
    HookPoint point() {
        return {
            .netlink = netlink(), .worker = *worker_, .ifindex = a_, .device = "a0", .link_pin = pins_.path("link")};
    }
    std::vector<BpfFilter> filters(std::uint32_t parent) {
        const auto listed = netlink().filters(a_, parent);
        EXPECT_TRUE(listed) << listed.error().what;
        return listed ? *listed : std::vector<BpfFilter>{};
    }
    // How many filters of a parent run the program.
    std::ptrdiff_t count(std::uint32_t parent, const Program& program) {
        const auto listed = filters(parent);
        return std::count_if(listed.begin(), listed.end(), [&](const auto& f) { return f.prog_id == program.id; });
    }
    HookState state(const HookRecord& record, const Program& program) {
        const auto found = hook_state(point(), record, program.id);
        EXPECT_TRUE(found) << found.error().what;
        return found ? *found : HookState::absent;
    }

    BpfFolder pins_;
    std::optional<NetnsWorker> worker_;
    int a_ = 0;  // its ifindex
    Program program_ = load_program();
    Program foreign_ = load_program();
};

TEST_F(Hooks, OnHtbAreRetakenThere) {
    run("tc qdisc add dev a0 handle ffff: ingress");
    ASSERT_OK(netlink().add_htb(
        a_, {.rate_bps = 1'000'000, .burst_ns = 1'000'000, .small_burst_ns = 1'000'000, .leaf_limit_bytes = 1 << 20}));
    const auto hook = attach_hook(point(), program_.fd.get(), AttachMode::clsact, false, false);
    ASSERT_OK(hook);
    ASSERT_EQ(hook->record.kind, HookKind::htb);
    ASSERT_EQ(state(hook->record, program_), HookState::first);
    ASSERT_OK(netlink().add_bpf_filter(a_, htb_handle, 1, foreign_.fd.get(), "foreign"));
    ASSERT_EQ(state(hook->record, program_), HookState::overtaken);
    for (const auto mode : {AttachMode::clsact, AttachMode::automatic}) {
        const auto again =
            retake_hook(point(), hook->record, program_.fd.get(), program_.id, mode, mode == AttachMode::automatic);
        ASSERT_OK(again);
        EXPECT_EQ(again->record.kind, HookKind::htb);
        EXPECT_TRUE(again->first);
        EXPECT_EQ(state(again->record, program_), HookState::first);
        EXPECT_EQ(count(htb_handle, program_), 1);
        EXPECT_EQ(count(htb_handle, foreign_), 1);
    }
}

// Skipped where there is no tcx.
class TcxHooks : public Hooks {
protected:
    void SetUp() override {
        Hooks::SetUp();
        if (!probe_features().tcx) GTEST_SKIP() << "this kernel has no tcx";
    }
    UniqueFd tcx_link(const Program& program) const {
        return UniqueFd(bpf_link_create(program.fd.get(), a_, static_cast<bpf_attach_type>(47), nullptr));
    }
};

TEST_F(TcxHooks, AreTakenWhereOthersSitOnTheOtherDirectionsClsact) {
    run("tc qdisc add dev a0 clsact");
    const auto other = load_program();
    ASSERT_OK(netlink().add_bpf_filter(a_, ingress, 1, other.fd.get(), "natra"));
    run("tc filter add dev a0 egress prio 1 protocol ip u32 match u32 0 0 classid 1:1");
    const auto theirs = filters(egress).size();
    const auto hook = attach_hook(point(), program_.fd.get(), AttachMode::automatic, true, true, other.id);
    ASSERT_OK(hook);
    EXPECT_EQ(hook->record.kind, HookKind::tcx);
    EXPECT_TRUE(hook->first);
    EXPECT_FALSE(hook->record.made_clsact);
    EXPECT_EQ(state(hook->record, program_), HookState::first);
    EXPECT_EQ(filters(egress).size(), theirs);
    EXPECT_EQ(count(ingress, other), 1);
}

TEST_F(TcxHooks, OnClsactAreBehindThePrograms) {
    const auto foreign_link = tcx_link(foreign_);
    ASSERT_TRUE(foreign_link);
    for (const bool shared : {false, true}) {
        const auto hook = attach_hook(point(), program_.fd.get(), AttachMode::clsact, true, shared);
        ASSERT_OK(hook);
        EXPECT_EQ(hook->record.kind, HookKind::clsact);
        EXPECT_FALSE(hook->first);
        EXPECT_EQ(state(hook->record, program_), HookState::overtaken);
        const auto again = retake_hook(point(), hook->record, program_.fd.get(), program_.id, AttachMode::clsact, true);
        ASSERT_OK(again);
        EXPECT_EQ(again->record.kind, HookKind::clsact);
        EXPECT_EQ(again->record.handle, hook->record.handle);
        EXPECT_EQ(again->record.made_clsact, hook->record.made_clsact);
        EXPECT_FALSE(again->first);
        EXPECT_EQ(count(egress, program_), 1);
        EXPECT_OK(detach_hook(point(), hook->record, program_.id, !shared));
    }
}

// Two hooks at once, as long as one gives way to the other.
TEST_F(TcxHooks, OfOneProgramAreNoObstacleToEachOther) {
    const auto on_tcx = attach_hook(point(), program_.fd.get(), AttachMode::tcx, true, false);
    ASSERT_OK(on_tcx);
    const auto on_clsact = attach_hook(point(), program_.fd.get(), AttachMode::clsact, true, false);
    ASSERT_OK(on_clsact);
    EXPECT_TRUE(on_clsact->first);
}

}  // namespace
}  // namespace natra::datapath::testing
