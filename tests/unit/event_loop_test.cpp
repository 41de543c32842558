// SPDX-License-Identifier: Apache-2.0
#include "daemon/util/event_loop.hpp"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

namespace natra {
namespace {

constexpr std::uint64_t soon_usec = 20'000;

// Always readable: somebody outside who never stops.
UniqueFd flood() { return UniqueFd(::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)); }

TEST(EventLoop, RunsWhatOtherThreadsPostInTheirOrder) {
    EventLoop loop;
    std::vector<int> order;
    std::thread([&] {
        for (int i = 0; i < 100; ++i) loop.post([&, i] { order.push_back(i); });
        loop.post([&] { loop.stop(7); });
    }).join();
    EXPECT_EQ(loop.run(), 7);
    ASSERT_EQ(order.size(), 100U);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
}

TEST(EventLoop, AnExceptionStopsNothing) {
    EventLoop loop;
    loop.post([] { throw std::runtime_error("it failed"); });
    loop.post([&] { loop.stop(3); });
    EXPECT_EQ(loop.run(), 3);
}

TEST(EventLoop, ATaskGoesBeforeTheNextOneRuns) {
    EventLoop loop;
    const auto held = std::make_shared<int>(0);
    bool gone = false;
    {
        auto moved = held;
        loop.post([moved = std::move(moved)] {});
    }
    loop.post([&, own = std::weak_ptr<int>(held)] { gone = own.use_count() == 1; });
    EXPECT_TRUE(loop.drain());
    EXPECT_TRUE(gone);
    EXPECT_FALSE(loop.drain());
}

TEST(EventLoop, TasksAndTimersComeBeforeWhatArrivesFromOutside) {
    EventLoop loop;
    const auto outside = flood();
    int calls = 0;
    int calls_before = -1;
    loop.on_readable(outside.get(), "flood", [&] {
        // What natrad has begun is due again at once: no call from outside comes in between.
        if (++calls == 1) {
            loop.post([&] { loop.post([&] { calls_before = calls; }); });
            return;
        }
        loop.stop();
    });
    EXPECT_EQ(loop.run(), 0);
    EXPECT_EQ(calls_before, 1);
}

TEST(EventLoop, AFloodOfRequestsLeavesTheBusItsTurn) {
    EventLoop loop;
    const auto bus = flood();
    int requests = 0;
    int turns = 0;
    // Each request is followed by the next ones.
    std::function<void()> ask = [&] {
        ++requests;
        loop.post_request(ask);
    };
    for (int i = 0; i < 100; ++i) loop.post_request(ask);
    loop.on_readable(bus.get(), "bus", [&] {
        if (++turns == 10) loop.stop();
    });
    EXPECT_EQ(loop.run(), 0);
    EXPECT_GT(requests, 0);
    EXPECT_LE(requests, 10 * 8 + 8);
}

TEST(EventLoop, ATimerRunsOnceAndIsForgotten) {
    EventLoop loop;
    int runs = 0;
    loop.after(soon_usec, "once", [&] { ++runs; });
    loop.after(3 * soon_usec, "end", [&] { loop.stop(); });
    EXPECT_EQ(loop.run(), 0);
    EXPECT_EQ(runs, 1);
}

}  // namespace
}  // namespace natra
