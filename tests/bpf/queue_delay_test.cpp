// SPDX-License-Identifier: Apache-2.0
// The distribution of waits: which packets are in it, and in which bucket.
#include <algorithm>
#include <vector>

#include "daemon/datapath/counters.hpp"
#include "fixture.hpp"

namespace natra::test {
namespace {

using datapath::Shaper;
using Buckets = std::vector<std::uint64_t>;

class QueueDelay : public LimiterTest {
protected:
    // From idle and without a burst a packet waits for as long as a link would need for it: exact to the nanosecond,
    // however long the test takes.
    void pace_all(Shaper shaper) {
        limit(shaper);
        make_all_heavy();
        config().burst_ns = 0;
        config().total_shift = 10;
    }
    Outcome send(std::uint64_t wait) {
        state().total_clock_ns = 0;
        config().total_mult = wait;
        return limiter().run(udp_packet(), {.wire_len = 1024});
    }
    Buckets buckets() {
        const natra_counters counters = limiter().counters();
        return {std::begin(counters.wait_packets), std::end(counters.wait_packets)};
    }
    static Buckets expected(const std::vector<std::uint64_t>& waits) {
        Buckets out(NATRA_WAIT_BUCKETS);
        for (const std::uint64_t wait : waits) {
            const auto& bounds = datapath::wait_bounds_ns;
            ++out[static_cast<std::size_t>(std::lower_bound(bounds.begin(), bounds.end(), wait) - bounds.begin())];
        }
        return out;
    }
    static std::vector<std::uint64_t> all_waits() {
        std::vector<std::uint64_t> waits = {0, 1, 9 * second};
        for (const std::uint64_t bound : datapath::wait_bounds_ns)
            for (const std::uint64_t wait : {bound - 1, bound, bound + 1}) waits.push_back(wait);
        return waits;
    }
};
NATRA_BOTH_VARIANTS(QueueDelay);

TEST_P(QueueDelay, CountsEveryPacedPacketInItsBucket) {
    for (const Shaper shaper : {Shaper::edt, Shaper::htb}) {
        for (const std::uint32_t flags : {0U, NATRA_F_SHARED_COUNTERS}) {
            limiter().reset();
            pace_all(shaper);
            config().flags = flags;
            std::uint64_t sum = 0;
            for (const std::uint64_t wait : all_waits()) {
                const std::uint64_t before = monotonic_ns();
                const Outcome outcome = send(wait);
                ASSERT_EQ(outcome.verdict, verdict_pass) << wait;
                sum += wait;
                EXPECT_EQ(limiter().counters().wait_ns, sum) << wait;
                if (shaper == Shaper::edt) {
                    EXPECT_GE(outcome.tstamp, before + wait) << "what is counted is what fq is told";
                    EXPECT_LE(outcome.tstamp, monotonic_ns() + wait);
                }
            }
            EXPECT_EQ(buckets(), expected(all_waits()));
            EXPECT_EQ(datapath::waits(limiter().counters()), limiter().counters().paced_packets);
        }
    }
}

TEST_P(QueueDelay, DeparturesInThePastAreNoWait) {
    pace_all(Shaper::edt);
    config().burst_ns = second;
    EXPECT_EQ(send(ms).verdict, verdict_pass);
    EXPECT_EQ(buckets(), expected({0}));
    EXPECT_EQ(limiter().counters().wait_ns, 0U);
}

TEST_P(QueueDelay, IsThatOfTheQueue) {
    pace_all(Shaper::htb);
    config().total_mult = 0;
    set_horizon(100 * second);
    queue(50 * second);
    EXPECT_EQ(limiter().run(udp_packet()).verdict, verdict_pass);
    EXPECT_GT(limiter().counters().wait_ns, second);
    EXPECT_LE(limiter().counters().wait_ns, 50 * second);
    EXPECT_EQ(buckets(), expected({50 * second}));
}

TEST_P(QueueDelay, PolicedPacketsDoNotWait) {
    pace_all(Shaper::police);
    EXPECT_EQ(send(second).verdict, verdict_pass) << "longer than the bucket";
    EXPECT_EQ(buckets(), expected({0}));
    EXPECT_EQ(limiter().counters().wait_ns, 0U);
}

TEST_P(QueueDelay, DroppedPacketsAreNotCounted) {
    for (const Shaper shaper : {Shaper::edt, Shaper::htb, Shaper::police}) {
        pace_all(shaper);
        queue(100 * second);
        EXPECT_EQ(limiter().run(udp_packet()).verdict, verdict_drop);
    }
    EXPECT_EQ(limiter().counters().dropped_packets, 3U);
    EXPECT_EQ(buckets(), expected({}));
    EXPECT_EQ(limiter().counters().wait_ns, 0U);
}

TEST_P(QueueDelay, SmallFlowsAreNotInItButWhatSpillsIs) {
    pace_all(Shaper::htb);
    make_all_small();
    EXPECT_EQ(send(5 * ms).verdict, verdict_pass);
    EXPECT_EQ(limiter().counters().fast_packets, 1U);
    EXPECT_EQ(buckets(), expected({}));
    state().small_clock_ns = monotonic_ns() + 2000 * second;
    EXPECT_EQ(send(5 * ms).verdict, verdict_pass);
    EXPECT_EQ(limiter().counters().spilled_packets, 1U);
    EXPECT_EQ(buckets(), expected({5 * ms}));
}

}  // namespace
}  // namespace natra::test
