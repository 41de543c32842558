// SPDX-License-Identifier: Apache-2.0
// Hook and shaper change while packets wait: what is lost with a qdisc, and what the clock says afterwards.
#include <algorithm>
#include <chrono>
#include <thread>

#include "tests/netlink/engine_world.hpp"
#include "tests/netlink/flood.hpp"

namespace natra::datapath::testing {
namespace {

using namespace std::chrono_literals;

struct Case {
    const char* name;
    Direction direction;
    Shaper from;
    Shaper to;
};

class Switch : public Engines, public ::testing::WithParamInterface<Case> {
protected:
    static constexpr std::uint64_t rate_bps = 4'000'000;
    // 10 ms of the rate, or one segment of 64 kB.
    static constexpr int expendable_frames = 65536 / Wire::frame_bytes + 1;

    void SetUp() override {
        Engines::SetUp();
        const auto& each = GetParam();
        if ((each.from == Shaper::edt || each.to == Shaper::edt) && !engine_->features().fq)
            GTEST_SKIP() << "this kernel has no sch_fq";
    }
    static Wish wish(Shaper shaper, AttachMode mode = AttachMode::clsact) {
        return {.attach_mode = mode, .shaper = shaper, .attach_mode_by = "the test", .shaper_by = "the test"};
    }
    // Whatever is sent belongs to a heavy flow.
    Attached limit() {
        Rates rates;
        rates.of(GetParam().direction) = Rate{.rate_bps = rate_bps, .heavy_threshold_bytes = 1};
        auto attached = engine_->attach({.id = "pod1",
                                         .netns_fd = pod_.get(),
                                         .netns_path = netns_path(),
                                         .device = "eth0",
                                         .rates = rates,
                                         .wish = wish(GetParam().from)});
        EXPECT_TRUE(attached) << attached.error().what;
        if (!attached) return {};
        tell_what_is_refused(*attached, GetParam().direction);
        return *std::move(attached);
    }
    static std::int64_t horizon_ms(const Attached& attached) {
        const auto& config = attached.instance(GetParam().direction)->config();
        return static_cast<std::int64_t>(config.horizon_ns / 1'000'000);
    }
    std::int64_t queue_ms() const {
        return static_cast<std::int64_t>(queued_bytes(GetParam().direction) * 8000 / rate_bps);
    }
};

TEST_P(Switch, LosesNoMoreThanASegment) {
    const auto direction = GetParam().direction;
    auto attached = limit();
    auto sent = wire(direction, Wire::Kind::tcp);
    const int waiting = sent.send_what_passes(1000);
    if (GetParam().from != Shaper::police) {
        EXPECT_GT(waiting, expendable_frames);
    }
    EXPECT_OK(switch_drained(attached, wish(GetParam().to)));
    EXPECT_EQ(attached.record.of(direction)->shaper, GetParam().to);
    // What is policed was admitted, but may have been dropped outside.
    if (GetParam().from != Shaper::police) {
        EXPECT_GE(sent.receive(waiting), waiting - expendable_frames);
    }
    EXPECT_OK(engine_->check(attached, pod_.get()));
    EXPECT_OK(engine_->detach(attached));
}

// Neither more waits than the horizon allows, as if something had been forgotten, nor does the pod stand still.
TEST_P(Switch, KeepsRateAndHorizonUnderLoad) {
    auto attached = limit();
    Flood flood(wire(GetParam().direction, Wire::Kind::tcp), 1);
    std::this_thread::sleep_for(700ms);
    EXPECT_OK(switch_drained(attached, wish(GetParam().to)));
    std::this_thread::sleep_for(700ms);
    if (GetParam().to != Shaper::police) {
        EXPECT_LT(queue_ms(), horizon_ms(attached) * 6 / 5);
    }
    const auto begin = std::chrono::steady_clock::now();
    const int frames = flood.received();
    // A flow that was a stranger to the program counts twice for an epoch: policed, it comes in bursts meanwhile.
    std::this_thread::sleep_for(1500ms);
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    const double bps = (flood.received() - frames) * Wire::frame_bytes * 8 / passed.count();
    EXPECT_GT(bps, 0.8 * rate_bps);
    EXPECT_LT(bps, 1.2 * rate_bps);
    flood.stop();
    EXPECT_OK(engine_->detach(attached));
}

INSTANTIATE_TEST_SUITE_P(
    All, Switch,
    ::testing::Values(Case{"egress_htb_to_edt", Direction::egress, Shaper::htb, Shaper::edt},
                      Case{"egress_edt_to_htb", Direction::egress, Shaper::edt, Shaper::htb},
                      Case{"egress_htb_to_police", Direction::egress, Shaper::htb, Shaper::police},
                      Case{"egress_edt_to_police", Direction::egress, Shaper::edt, Shaper::police},
                      Case{"egress_police_to_htb", Direction::egress, Shaper::police, Shaper::htb},
                      Case{"egress_police_to_edt", Direction::egress, Shaper::police, Shaper::edt},
                      Case{"ingress_htb_to_edt", Direction::ingress, Shaper::htb, Shaper::edt},
                      Case{"ingress_edt_to_htb", Direction::ingress, Shaper::edt, Shaper::htb},
                      Case{"ingress_htb_to_police", Direction::ingress, Shaper::htb, Shaper::police},
                      Case{"ingress_edt_to_police", Direction::ingress, Shaper::edt, Shaper::police},
                      Case{"ingress_police_to_htb", Direction::ingress, Shaper::police, Shaper::htb},
                      Case{"ingress_police_to_edt", Direction::ingress, Shaper::police, Shaper::edt}),
    [](const auto& each) { return std::string(each.param.name); });

class SwitchHook : public Switch {};

// The qdisc stays, but the kernel empties it when a clsact qdisc comes or goes.
TEST_P(SwitchHook, LosesNoMoreThanASegmentAndForgetsNothing) {
    if (!engine_->features().tcx) GTEST_SKIP() << "this kernel has no tcx";
    const auto direction = GetParam().direction;
    auto attached = limit();
    {
        auto sent = wire(direction, Wire::Kind::tcp);
        const int waiting = sent.send_what_passes(1000);
        EXPECT_OK(switch_drained(attached, wish(GetParam().from, AttachMode::tcx)));
        EXPECT_GE(sent.receive(waiting), waiting - expendable_frames);
    }
    Flood flood(wire(direction, Wire::Kind::tcp), 1);
    std::this_thread::sleep_for(700ms);
    for (const auto mode : {AttachMode::clsact, AttachMode::tcx, AttachMode::clsact, AttachMode::tcx}) {
        EXPECT_OK(switch_drained(attached, wish(GetParam().from, mode)));
        std::this_thread::sleep_for(100ms);
    }
    EXPECT_LT(queue_ms(), horizon_ms(attached) * 6 / 5);
    flood.stop();
    EXPECT_OK(engine_->detach(attached));
}

INSTANTIATE_TEST_SUITE_P(All, SwitchHook,
                         ::testing::Values(Case{"egress_htb", Direction::egress, Shaper::htb, Shaper::htb},
                                           Case{"egress_edt", Direction::egress, Shaper::edt, Shaper::edt},
                                           Case{"ingress_htb", Direction::ingress, Shaper::htb, Shaper::htb},
                                           Case{"ingress_edt", Direction::ingress, Shaper::edt, Shaper::edt}),
                         [](const auto& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace natra::datapath::testing
