// SPDX-License-Identifier: Apache-2.0
// Another rate while packets wait behind the old one: the queue stays what its horizon makes it.
#include <algorithm>
#include <array>
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
    Shaper shaper;
};

class Retune : public Engines, public ::testing::WithParamInterface<Case> {
protected:
    static constexpr std::uint64_t mbit = 1'000'000;

    void SetUp() override {
        Engines::SetUp();
        if (GetParam().shaper == Shaper::edt && !engine_->features().fq) GTEST_SKIP() << "this kernel has no sch_fq";
    }
    // Whatever is sent belongs to a heavy flow.
    static Rates rates_of(std::uint64_t rate_bps) {
        Rates rates;
        rates.of(GetParam().direction) = Rate{.rate_bps = rate_bps, .heavy_threshold_bytes = 1};
        return rates;
    }
    Attached limit(std::uint64_t rate_bps) {
        auto attached = engine_->attach({.id = "pod1",
                                         .netns_fd = pod_.get(),
                                         .netns_path = netns_path(),
                                         .device = "eth0",
                                         .rates = rates_of(rate_bps),
                                         .wish = {.shaper = GetParam().shaper, .shaper_by = "the test"}});
        EXPECT_TRUE(attached) << attached.error().what;
        return attached ? *std::move(attached) : Attached{};
    }
    Flood flood(int frames_per_ms) { return {wire(GetParam().direction, Wire::Kind::tcp), frames_per_ms}; }
    // ms until all that waits has left at that rate; the median of some looks.
    std::int64_t queue_ms(std::uint64_t rate_bps) const {
        std::array<std::int64_t, 5> seen{};
        for (auto& each : seen) {
            std::this_thread::sleep_for(20ms);
            each = static_cast<std::int64_t>(queued_bytes(GetParam().direction) * 8000 / rate_bps);
        }
        std::sort(seen.begin(), seen.end());
        return seen[seen.size() / 2];
    }
    static std::int64_t horizon_ms(const Attached& attached) {
        const auto& config = attached.instance(GetParam().direction)->config();
        return static_cast<std::int64_t>(config.horizon_ns / 1'000'000);
    }
};

class RetuneWithAQueue : public Retune {};

TEST_P(RetuneWithAQueue, SmallChangesLeaveTheQueueAsLongAsItIs) {
    constexpr auto rate_bps = 4 * mbit;
    auto attached = limit(rate_bps);
    auto sent = flood(1);
    std::this_thread::sleep_for(1s);
    const auto before = queue_ms(rate_bps);
    EXPECT_GT(before, 0);
    EXPECT_LT(before, horizon_ms(attached) * 6 / 5);
    for (std::uint64_t i = 1; i <= 6; ++i) {
        EXPECT_OK(engine_->change(attached, rates_of(rate_bps + i * 1000)));
        std::this_thread::sleep_for(100ms);
    }
    const auto after = queue_ms(rate_bps);
    // CoDel shortens it; no change may lengthen it.
    EXPECT_GT(after, 0) << "was " << before;
    EXPECT_LT(after, horizon_ms(attached) * 6 / 5) << "was " << before;
    sent.stop();
    EXPECT_OK(engine_->detach(attached));
}

// What waits takes four times as long from then on; nothing joins it until it is down to the horizon.
TEST_P(RetuneWithAQueue, ALoweredRateShrinksTheQueueToItsHorizon) {
    constexpr auto low_bps = 2 * mbit;
    auto attached = limit(4 * low_bps);
    auto sent = flood(2);
    std::this_thread::sleep_for(1s);
    EXPECT_OK(engine_->change(attached, rates_of(low_bps)));
    std::this_thread::sleep_for(1s);
    const auto after = queue_ms(low_bps);
    // The AQM shortens it further.
    EXPECT_GT(after, horizon_ms(attached) / 4);
    EXPECT_LT(after, horizon_ms(attached) * 6 / 5);
    sent.stop();
    EXPECT_OK(engine_->detach(attached));
}

TEST_P(Retune, ARaisedRateIsUsedAtOnce) {
    constexpr auto high_bps = 10 * mbit;
    auto attached = limit(mbit);
    auto sent = flood(2);
    std::this_thread::sleep_for(3s);
    EXPECT_OK(engine_->change(attached, rates_of(high_bps)));
    // What waits in fq leaves at its old times; a horizon later at the latest all is as it will be.
    std::this_thread::sleep_for(300ms);
    const auto begin = std::chrono::steady_clock::now();
    const int frames = sent.received();
    std::this_thread::sleep_for(500ms);
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    const double bps = (sent.received() - frames) * Wire::frame_bytes * 8 / passed.count();
    EXPECT_GT(bps, 0.8 * high_bps);
    EXPECT_LT(bps, 1.2 * high_bps);
    if (GetParam().shaper != Shaper::police) {
        // What waits in fq for its old times was no more than the new horizon takes.
        EXPECT_LT(queue_ms(high_bps), horizon_ms(attached) * 2);
    }
    sent.stop();
    EXPECT_OK(engine_->detach(attached));
}

constexpr auto name_of = [](const auto& each) { return std::string(each.param.name); };
constexpr Case queues[] = {{"htb_egress", Direction::egress, Shaper::htb},
                           {"htb_ingress", Direction::ingress, Shaper::htb},
                           {"edt_egress", Direction::egress, Shaper::edt},
                           {"edt_ingress", Direction::ingress, Shaper::edt}};
INSTANTIATE_TEST_SUITE_P(All, RetuneWithAQueue, ::testing::ValuesIn(queues), name_of);
INSTANTIATE_TEST_SUITE_P(Queues, Retune, ::testing::ValuesIn(queues), name_of);
INSTANTIATE_TEST_SUITE_P(Policers, Retune,
                         ::testing::Values(Case{"police_egress", Direction::egress, Shaper::police},
                                           Case{"police_ingress", Direction::ingress, Shaper::police}),
                         name_of);

}  // namespace
}  // namespace natra::datapath::testing
