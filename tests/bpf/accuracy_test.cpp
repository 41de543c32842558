// SPDX-License-Identifier: Apache-2.0
// What natrad reads from the sketch about its accuracy, against what the program then does with new flows.
#include "daemon/datapath/accuracy.hpp"

#include <algorithm>
#include <cmath>

#include "daemon/util/error.hpp"
#include "fixture.hpp"

namespace natra::test {
namespace {

using datapath::Shaper;

class Accuracy : public LimiterTest {
protected:
    void SetUp() override {
        LimiterTest::SetUp();
        if (IsSkipped()) return;
        limit(Shaper::htb);
        never_use_up_the_allowance();
        set_horizon(1000 * second);
        never_drop_for_delay();
        // Cells that are heavy stay so: nothing drains below the threshold while this runs.
        config().flow_mult *= 64;
        config().excess_cap = 1U << 22;
        config().guard = 1U << 26;
    }
    datapath::Accuracy read() { return datapath::accuracy_of(state(), monotonic_ns()); }
    bool is_heavy(std::uint32_t flow, std::uint32_t wire_len) {
        const auto address = concat("10.", flow >> 16 & 255, ".", flow >> 8 & 255, ".", flow & 255);
        const Packet packet = eth / ip4(address, "10.0.0.2") / udp() / payload(30);
        state().total_clock_ns = 0;  // nobody is dropped
        limiter().forget_flows();    // and nobody waits
        std::fill(std::begin(state().stranger_clock), std::end(state().stranger_clock), 0);
        return limiter().run(packet, {.wire_len = wire_len}).priority == for_class(NATRA_HTB_HEAVY_MINOR);
    }
    // Flows that send forty seconds' worth of their share.
    void make_heavy(std::uint32_t flows) {
        for (std::uint32_t flow = 1; flow <= flows; ++flow) EXPECT_TRUE(is_heavy(flow, 65'000));
    }
    // Share of so many new flows, other ones each time, whose first packet is one of a heavy flow.
    double measure(std::uint32_t flows) {
        std::uint32_t heavy = 0;
        for (std::uint32_t i = 0; i < flows; ++i) heavy += is_heavy(next_++, 72) ? 1 : 0;
        return static_cast<double>(heavy) / flows;
    }

    std::uint32_t next_ = 1 << 20;
};
NATRA_BOTH_VARIANTS(Accuracy);

TEST_P(Accuracy, IsPerfectForFewFlows) {
    make_heavy(10);
    const auto found = read();
    EXPECT_NEAR(found.occupancy, 10.0 / NATRA_SKETCH_COLS, 0.002);
    EXPECT_LT(found.false_heavy_chance, 1e-6);
    EXPECT_EQ(found.overestimate_bytes, 0U);
    EXPECT_EQ(measure(1000), 0);
}

TEST_P(Accuracy, ChanceIsTheShareOfNewFlowsThatAreTakenForHeavy) {
    for (const std::uint32_t flows : {600U, 1200U, 2400U}) {
        limiter().reset();
        SetUp();
        make_heavy(flows);
        const double chance = read().false_heavy_chance;
        const double measured = measure(3000);
        // n flows leave e^(-n/w) of the cells of a row empty.
        EXPECT_NEAR(chance, std::pow(1 - std::exp(-static_cast<double>(flows) / NATRA_SKETCH_COLS), 4), 0.05);
        EXPECT_NEAR(measured, chance, 0.05) << flows << " flows";
        EXPECT_GT(measured, 0.01);
    }
}

TEST_P(Accuracy, OneNewFlowInAHundredIsOverestimatedByMore) {
    make_heavy(700);
    const auto found = read();
    ASSERT_GT(found.false_heavy_chance, 0.01);
    ASSERT_GT(found.overestimate_bytes, found.threshold_bytes);
    // At a threshold above that, by a packet and what has drained in between, few are taken for heavy.
    const auto units = [&](std::uint64_t bytes) { return bytes * config().flow_mult >> config().flow_shift; };
    set_tau(static_cast<std::uint32_t>(units(found.overestimate_bytes + 2 * 72)));
    EXPECT_LE(measure(1000), 0.03);
}

}  // namespace
}  // namespace natra::test
