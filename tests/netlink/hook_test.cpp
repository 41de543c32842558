// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/hook.hpp"

#include <algorithm>
#include <optional>

#include "tests/netlink/world.hpp"

namespace natra::datapath::testing {
namespace {

// The egress hook of a0.
class Hooks : public World {
protected:
    void SetUp() override {
        World::SetUp();
        worker_.emplace();  // at home where the test is now
        a_ = ifindex("a0");
    }
    HookPoint point() {
        return {.netlink = netlink(), .worker = *worker_, .ifindex = a_, .device = "a0", .link_pin = pins_.path("link")};
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
    int a_ = 0;
    Program program_ = load_program();
    Program foreign_ = load_program();
};

TEST_F(Hooks, OnHtbAreRetakenThere) {
    run("tc qdisc add dev a0 handle ffff: ingress");
    ASSERT_OK(netlink().add_htb(a_, {.rate_bps = 1'000'000,
                                     .burst_ns = 1'000'000,
                                     .small_burst_ns = 1'000'000,
                                     .leaf_limit_bytes = 1 << 20}));
    const auto hook = attach_hook(point(), program_.fd.get(), AttachMode::clsact, false, false);
    ASSERT_OK(hook);
    ASSERT_EQ(hook->record.kind, HookKind::htb);
    ASSERT_EQ(state(hook->record, program_), HookState::first);
    ASSERT_OK(netlink().add_bpf_filter(a_, htb_handle, 1, foreign_.fd.get(), "foreign"));
    ASSERT_EQ(state(hook->record, program_), HookState::overtaken);
    for (const auto mode : {AttachMode::clsact, AttachMode::automatic}) {
        const auto again = retake_hook(point(), hook->record, program_.fd.get(), program_.id, mode,
                                       mode == AttachMode::automatic);
        ASSERT_OK(again);
        EXPECT_EQ(again->record.kind, HookKind::htb);
        EXPECT_TRUE(again->first);
        EXPECT_EQ(state(again->record, program_), HookState::first);
        EXPECT_EQ(count(htb_handle, program_), 1);
        EXPECT_EQ(count(htb_handle, foreign_), 1);
    }
}

}  // namespace
}  // namespace natra::datapath::testing
