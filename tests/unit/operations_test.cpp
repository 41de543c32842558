// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/operations.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

#include "daemon/util/event_loop.hpp"
#include "daemon/util/worker.hpp"

namespace natra::pods {
namespace {

using Held = Operations::Held;

TEST(Operations, RunOneAfterTheOtherForEachAttachment) {
    Operations operations;
    std::vector<int> begun;
    std::vector<Held> turns(3);
    const auto begin = [&](const std::string& id, int number) {
        operations.run(id, [&, number](const Held& turn) {
            begun.push_back(number);
            turns[static_cast<std::size_t>(number)] = turn;
        });
    };
    begin("a", 0);
    begin("a", 1);
    begin("b", 2);
    EXPECT_EQ(begun, (std::vector{0, 2}));
    turns[2].reset();
    EXPECT_EQ(begun, (std::vector{0, 2}));
    turns[0].reset();
    EXPECT_EQ(begun, (std::vector{0, 2, 1}));
}

TEST(Operations, ATurnEndsWithItsLastCopy) {
    Operations operations;
    Held first;
    bool begun = false;
    operations.run("a", [&](const Held& turn) { first = turn; });
    auto second = first;
    operations.run("a", [&](const Held&) { begun = true; });
    first.reset();
    EXPECT_FALSE(begun);
    second.reset();
    EXPECT_TRUE(begun);
}

TEST(Operations, AnExceptionEndsATurn) {
    Operations operations;
    operations.run("a", [](const Held&) { throw std::runtime_error("it failed"); });
    bool begun = false;
    operations.run("a", [&](const Held&) { begun = true; });
    EXPECT_TRUE(begun);
}

TEST(Operations, AnUrgentOneIsKnownUntilItsTurn) {
    Operations operations;
    Held first;
    bool urged = false;
    operations.run("a", [&](const Held& turn) { first = turn; });
    operations.run("a", [&](const Held&) { urged = operations.urged("a"); });
    EXPECT_FALSE(operations.urged("a"));
    operations.run_urgently("a", [](const Held&) {});
    EXPECT_TRUE(operations.urged("a"));
    EXPECT_FALSE(operations.urged("b"));
    first.reset();
    EXPECT_TRUE(urged) << "of one that waits before it, too";
    EXPECT_FALSE(operations.urged("a"));
}

// In the second half of an operation, too, when the kernel's part is done.
TEST(Operations, AnExceptionOnTheWayBackFromTheWorkerEndsATurn) {
    Operations operations;
    EventLoop core;
    bool begun = false;
    {
        Worker worker("test");
        operations.run("a", [&](const Held& turn) {
            worker.post([&core, turn]() mutable {
                core.post([turn = std::move(turn)] { throw std::runtime_error("it failed"); });
            });
        });
        operations.run("a", [&](const Held&) { begun = true; });
        worker.wait_idle();
    }
    EXPECT_FALSE(begun);
    core.drain();
    EXPECT_TRUE(begun);
}

TEST(Operations, ThatEndAtOnceNeedNoStack) {
    constexpr int many = 200'000;
    Operations operations;
    Held first;
    int ended = 0;
    operations.run("a", [&](const Held& turn) { first = turn; });
    for (int i = 0; i < many; ++i) operations.run("a", [&](const Held&) { ++ended; });
    EXPECT_EQ(ended, 0);
    first.reset();
    EXPECT_EQ(ended, many);
}

TEST(Operations, MayAskForMoreOfTheSameAttachment) {
    Operations operations;
    std::vector<int> order;
    operations.run("a", [&](const Held&) {
        operations.run("a", [&](const Held&) { order.push_back(2); });
        order.push_back(1);
    });
    EXPECT_EQ(order, (std::vector{1, 2}));
}

// When natrad stops, what is under way may end after the registry.
TEST(Operations, ATurnMayOutliveThem) {
    Held turn;
    bool begun = false;
    {
        Operations operations;
        operations.run("a", [&](const Held& held) { turn = held; });
        operations.run("a", [&](const Held&) { begun = true; });
    }
    turn.reset();
    EXPECT_FALSE(begun);
}

}  // namespace
}  // namespace natra::pods
