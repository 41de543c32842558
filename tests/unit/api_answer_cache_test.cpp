// SPDX-License-Identifier: Apache-2.0
#include "api/answer_cache.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace natra::api {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

constexpr milliseconds patience{60'000};

Response answer_of(std::string body, int status = 200) {
    return {.status = status, .content_type = "", .body = std::move(body), .headers = {}};
}

class AnswerCacheTest : public testing::Test {
protected:
    // The number of the making, in the body.
    std::string ask(AnswerCache& cache, const std::string& question, std::uint64_t revision, int status = 200) {
        return cache.get(question, revision, patience, [&] { return answer_of(std::to_string(++made), status); })->body;
    }
    int made = 0;
};

TEST_F(AnswerCacheTest, IsMadeOnceAsLongAsNothingChanged) {
    AnswerCache cache(hours(1), 4);
    EXPECT_EQ(ask(cache, "a", 1), "1");
    EXPECT_EQ(ask(cache, "a", 1), "1");
    EXPECT_EQ(ask(cache, "b", 1), "2");
    EXPECT_EQ(ask(cache, "a", 2), "3") << "another revision";
    EXPECT_EQ(ask(cache, "a", 2), "3");
    EXPECT_EQ(ask(cache, "b", 1), "2");
}

TEST_F(AnswerCacheTest, IsMadeAgainWhenItIsTooOld) {
    AnswerCache cache(milliseconds(0), 4);
    EXPECT_EQ(ask(cache, "a", 1), "1");
    EXPECT_EQ(ask(cache, "a", 1), "2");
}

TEST_F(AnswerCacheTest, WhatFailedIsAskedAgain) {
    AnswerCache cache(hours(1), 4);
    EXPECT_EQ(ask(cache, "a", 1, 503), "1");
    EXPECT_EQ(ask(cache, "a", 1), "2");
    EXPECT_EQ(ask(cache, "a", 1), "2");
}

TEST_F(AnswerCacheTest, WhatThrowsIsAskedAgain) {
    AnswerCache cache(hours(1), 4);
    EXPECT_THROW(cache.get("a", 1, patience, []() -> Response { throw std::runtime_error("no"); }), std::runtime_error);
    EXPECT_EQ(ask(cache, "a", 1), "1");
}

TEST_F(AnswerCacheTest, KeepsTheLatestOnly) {
    AnswerCache cache(hours(1), 2);
    EXPECT_EQ(ask(cache, "a", 1), "1");
    EXPECT_EQ(ask(cache, "b", 1), "2");
    EXPECT_EQ(ask(cache, "a", 1), "1");
    EXPECT_EQ(ask(cache, "c", 1), "3") << "in the place of b, which was asked for longest ago";
    EXPECT_EQ(ask(cache, "a", 1), "1");
    EXPECT_EQ(ask(cache, "b", 1), "4");
}

TEST_F(AnswerCacheTest, ThoseWhoComeMeanwhileWaitForIt) {
    AnswerCache cache(hours(1), 2);
    std::atomic<int> making = 0;
    std::atomic<bool> go = false;
    const auto slow = [&] {
        ++making;
        while (!go) std::this_thread::yield();
        return answer_of("slow");
    };
    std::vector<std::thread> threads;
    std::atomic<int> answered = 0;
    for (int i = 0; i < 8; ++i)
        threads.emplace_back([&] {
            if (cache.get("a", 1, patience, slow)->body == "slow") ++answered;
        });
    while (making == 0) std::this_thread::yield();
    // Without waiting, it is made for whoever has no patience.
    EXPECT_EQ(cache.get("a", 1, milliseconds(0), [&] { return answer_of("own"); })->body, "own");
    go = true;
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(making, 1);
    EXPECT_EQ(answered, 8);
}

}  // namespace
}  // namespace natra::api
