// SPDX-License-Identifier: Apache-2.0
#include "daemon/util/worker.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <stdexcept>
#include <vector>

namespace natra {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr auto never = std::chrono::hours(1);

TEST(Worker, RunsTasksInTheirOrderOnOneThread) {
    std::vector<int> order;
    std::vector<std::thread::id> threads;
    Worker worker("test");
    for (int i = 0; i < 3; ++i)
        worker.post([&, i] {
            order.push_back(i);
            threads.push_back(std::this_thread::get_id());
        });
    worker.wait_idle();
    EXPECT_THAT(order, ElementsAre(0, 1, 2));
    EXPECT_THAT(threads, testing::Each(threads.at(0)));
    EXPECT_NE(threads.at(0), std::this_thread::get_id());
}

TEST(Worker, IsIdleWhenWhatATaskPostedIsDone) {
    int done = 0;
    Worker worker("test");
    worker.post([&] { worker.post([&] { worker.post_after(std::chrono::milliseconds(1), [&] { ++done; }); }); });
    worker.wait_idle();
    EXPECT_EQ(done, 1);
}

TEST(Worker, AnExceptionIsLoggedAndStopsNothing) {
    testing::internal::CaptureStderr();
    bool ran = false;
    {
        Worker worker("test");
        worker.post([] { throw std::runtime_error("no luck"); });
        worker.post([] { throw 5; });
        worker.post([&] { ran = true; });
    }
    EXPECT_TRUE(ran);
    EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("test: task failed: no luck"));
}

TEST(Worker, WhatIsDueLaterHoldsUpNothing) {
    std::promise<void> ran;
    std::vector<int> order;
    {
        Worker worker("test");
        worker.post_after(never, [&] { order.push_back(2); });
        worker.post([&] {
            order.push_back(1);
            ran.set_value();
        });
        ran.get_future().wait();
    }
    EXPECT_THAT(order, ElementsAre(1, 2)) << "at the end it is due";
}

TEST(Worker, WhatIsDueEarlierComesFirst) {
    std::vector<int> order;
    {
        Worker worker("test");
        worker.post_after(2 * never, [&] { order.push_back(2); });
        worker.post_after(never, [&] { order.push_back(1); });
    }
    EXPECT_THAT(order, ElementsAre(1, 2));
}

TEST(Worker, RunsWhatIsQueuedBeforeItEnds) {
    int done = 0;
    {
        Worker worker("test");
        for (int i = 0; i < 100; ++i) worker.post([&] { ++done; });
    }
    EXPECT_EQ(done, 100);
}

TEST(Worker, ATaskGoesBeforeTheNextOneRuns) {
    auto held = std::make_shared<int>();
    const std::weak_ptr<int> watched = held;
    bool gone = false;
    Worker worker("test");
    worker.post([held = std::move(held)] {});
    worker.post([&] { gone = watched.expired(); });
    worker.wait_idle();
    EXPECT_TRUE(gone);
}

TEST(Worker, RemembersTheLongestTurnUntilAsked) {
    constexpr auto turn = std::chrono::milliseconds(2);
    Worker worker("test");
    worker.post([&] { std::this_thread::sleep_for(turn); });
    worker.post([] {});
    worker.wait_idle();
    EXPECT_GE(worker.take_longest_turn(), turn);
    EXPECT_EQ(worker.take_longest_turn(), Worker::Duration::zero());
}

}  // namespace
}  // namespace natra
