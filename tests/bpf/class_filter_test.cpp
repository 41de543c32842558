// SPDX-License-Identifier: Apache-2.0
// HTB's filter: the class that the program chose, and the packet's own priority back.
#include <bpf/bpf.h>

#include "fixture.hpp"
#include "natra_class.skel.h"

namespace natra::test {
namespace {

using datapath::Shaper;

class ClassFilter : public LimiterTest {
protected:
    void SetUp() override {
        LimiterTest::SetUp();
        if (IsSkipped()) return;
        skeleton_ = natra_class_bpf::open_and_load();
        ASSERT_NE(skeleton_, nullptr);
    }
    void TearDown() override { natra_class_bpf::destroy(skeleton_); }

    // tc_classid cannot be seen after a test run; netns tests look at the classes.
    struct Classified {
        int verdict;
        std::uint32_t priority;
    };
    Classified classify(const __sk_buff& in) {
        const Bytes packet = udp_packet().bytes();
        __sk_buff context = in;
        __sk_buff out{};
        bpf_test_run_opts options{};
        options.sz = sizeof(options);
        options.data_in = packet.data();
        options.data_size_in = static_cast<std::uint32_t>(packet.size());
        options.ctx_in = &context;
        options.ctx_size_in = sizeof(context);
        options.ctx_out = &out;
        options.ctx_size_out = sizeof(out);
        options.repeat = 1;
        EXPECT_EQ(bpf_prog_test_run_opts(bpf_program__fd(skeleton_->progs.natra_class), &options), 0);
        return {static_cast<int>(options.retval), out.priority};
    }

private:
    natra_class_bpf* skeleton_ = nullptr;
};
NATRA_BOTH_VARIANTS(ClassFilter);

constexpr int tc_act_ok = 0;
constexpr int tc_act_unspec = -1;

TEST_P(ClassFilter, PutsThePacketsOwnPriorityBack) {
    limit(Shaper::htb);
    for (const std::uint32_t own : {0U, 5U, 0x10003U, ~0U, NATRA_HTB_MAJOR << 16, for_class(NATRA_HTB_SMALL_MINOR)}) {
        for (const bool heavy : {false, true}) {
            state().small_clock_ns = state().total_clock_ns = 0;
            limiter().forget_flows();
            set_tau(heavy ? 0 : config().guard);
            const __sk_buff left = limiter().leave(udp_packet(), own);
            EXPECT_EQ(left.priority, for_class(heavy ? NATRA_HTB_HEAVY_MINOR : NATRA_HTB_SMALL_MINOR));
            const auto [verdict, priority] = classify(left);
            EXPECT_EQ(verdict, tc_act_ok);
            EXPECT_EQ(priority, own);
        }
    }
}

TEST_P(ClassFilter, OverwrittenNotesGiveNoPriority) {
    __sk_buff packet{};
    packet.priority = for_class(NATRA_HTB_SMALL_MINOR);
    EXPECT_EQ(classify(packet).verdict, tc_act_ok);
    EXPECT_EQ(classify(packet).priority, 0U);
    packet.cb[3] = packet.cb[4] = 5;
    EXPECT_EQ(classify(packet).verdict, tc_act_ok);
    EXPECT_EQ(classify(packet).priority, 0U);
}

TEST_P(ClassFilter, LeavesOthersToTheDefaultClass) {
    for (const std::uint32_t priority : {0U, 6U, 0x110U, NATRA_HTB_MAJOR << 16 | 0x210U, 0x10000U}) {
        __sk_buff packet{};
        packet.priority = priority;
        packet.cb[3] = 7 ^ NATRA_HTB_KEPT;
        packet.cb[4] = 7;
        const auto [verdict, left] = classify(packet);
        EXPECT_EQ(verdict, tc_act_unspec);
        EXPECT_EQ(left, priority);
    }
}

}  // namespace
}  // namespace natra::test
