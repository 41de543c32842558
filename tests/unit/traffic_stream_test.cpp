// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/stream.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "tests/tools/udp.hpp"

namespace natra::traffic {
namespace {

using namespace std::chrono_literals;

StreamPlan plan(std::uint64_t rate, std::size_t payload, std::uint64_t bursts) {
    return {.rate = rate, .payload = payload, .bursts_per_second = bursts, .duration = 2s};
}

double rate_of(const StreamShape& shape, int family) {
    return 8 * static_cast<double>(shape.packets_per_burst * wire_bytes(shape.payload, family)) / shape.period.count();
}

TEST(StreamShape, BurstsAreCutIntoEqualPackets) {
    for (const int family : {AF_INET, AF_INET6}) {
        const auto shape = shape_of(plan(4'000'000, 1200, 25), family);
        const std::uint64_t packets = family == AF_INET ? 17 : 16;  // 20,000 bytes in frames of 1242 or 1262
        EXPECT_EQ(shape.packets_per_burst, packets);
        EXPECT_LE(shape.payload, 1200U);
        EXPECT_GT(shape.payload, 1100U);
        EXPECT_NEAR(shape.period.count(), 0.04, 0.0001);
        EXPECT_NEAR(rate_of(shape, family), 4e6, 1);
        EXPECT_EQ(shape.packets, 50 * packets);
    }
}

TEST(StreamShape, ABurstOfLessThanAPacketIsASmallPacket) {
    const auto shape = shape_of(plan(100'000, 1200, 25), AF_INET);
    EXPECT_EQ(shape.packets_per_burst, 1U);
    EXPECT_EQ(shape.payload, 458U);
    EXPECT_NEAR(shape.period.count(), 0.04, 0.0001);
}

TEST(StreamShape, TheSmallestPacketComesLessOften) {
    const auto shape = shape_of(plan(4640, 1200, 25), AF_INET);
    EXPECT_EQ(shape.packets_per_burst, 1U);
    EXPECT_EQ(shape.payload, min_stream_payload);
    EXPECT_NEAR(shape.period.count(), 0.1, 1e-9);  // 58 bytes
    EXPECT_NEAR(rate_of(shape, AF_INET), 4640, 0.001);
}

TEST(StreamShape, WithoutBurstsPacketsAreEvenlySpaced) {
    const auto shape = shape_of(plan(9'936'000, 1200, 0), AF_INET);
    EXPECT_EQ(shape.packets_per_burst, 1U);
    EXPECT_EQ(shape.payload, 1200U);
    EXPECT_NEAR(shape.period.count(), 0.001, 1e-9);
}

TEST(StreamShape, HasOneBurstAtLeast) { EXPECT_EQ(shape_of(plan(1000, 1452, 0), AF_INET).packets, 1U); }

TEST(StreamRecord, TellsOvertakenFromRepeatedAndLost) {
    StreamRecord record(6);
    for (const std::uint64_t number : {0U, 2U, 1U, 2U, 5U}) record.add(number, 10us, 30us, 100);
    record.add(6, 10us, 30us, 100);  // of no stream of six
    EXPECT_TRUE(record.at_end());
    EXPECT_FALSE(record.complete());
    const auto shown = record.to_json();
    EXPECT_EQ(shown["received_packets"], 4);
    EXPECT_EQ(shown["received_bytes"], 400);
    EXPECT_EQ(shown["reordered_packets"], 1);
    EXPECT_EQ(shown["duplicate_packets"], 1);
    EXPECT_EQ(shown["max_us"], 20.0);
}

TEST(StreamRecord, IsCompleteWithTheLastOne) {
    StreamRecord record(2);
    record.add(1, 0us, 1us, 1);
    EXPECT_TRUE(record.at_end());
    record.add(0, 0us, 1us, 1);
    EXPECT_TRUE(record.complete());
}

TEST(Stream, ArrivesOverLoopback) {
    for (const auto* host : {"127.0.0.1", "::1"}) {
        const StreamPlan short_plan{.rate = 2'000'000, .payload = 1200, .bursts_per_second = 50, .duration = 200ms};
        const int family = ip_address(host, 1)->family();
        auto sink = StreamSink::open(family, short_plan, 5s);
        ASSERT_TRUE(sink) << sink.error().what;
        (*sink)->start();
        const auto sent = send_stream(*ip_address(host, (*sink)->port()), short_plan, 5s);
        const auto received = (*sink)->report();
        EXPECT_EQ(sent["send_error"], "");
        EXPECT_EQ(sent["sent_packets"], shape_of(short_plan, family).packets);
        EXPECT_EQ(received["received_packets"], sent["sent_packets"]);
        EXPECT_GT(received["max_us"], 0.0);
    }
}

}  // namespace
}  // namespace natra::traffic
