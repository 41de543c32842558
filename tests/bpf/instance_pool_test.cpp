// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/instance_pool.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "limiter.hpp"

namespace natra::datapath {
namespace {

class Pool : public ::testing::Test {
protected:
    void SetUp() override {
        if (!test::may_load_bpf()) GTEST_SKIP() << "needs CAP_BPF";
    }
    // Waits for the refill, which may take as long as it likes.
    static void await(const InstancePool& pool, std::size_t ready) {
        while (pool.ready() < ready) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
};

TEST_F(Pool, FillsUpToItsSizeAndAgain) {
    InstancePool pool(2);
    await(pool, 2);
    ASSERT_TRUE(pool.take());
    ASSERT_TRUE(pool.take());
    await(pool, 2);
    EXPECT_EQ(pool.ready(), 2U);
    EXPECT_FALSE(pool.last_error());
}

TEST_F(Pool, GivesWhatIsInReserve) {
    InstancePool pool(2);
    await(pool, 2);
    const auto later = Instance::load();
    const auto taken = pool.take();
    ASSERT_TRUE(later && taken);
    EXPECT_LT(taken->prog_id(), later->prog_id()) << "the kernel counts upwards";
}

TEST_F(Pool, LoadsOneItselfWhenNoneIsInReserve) {
    InstancePool pool(0);
    const auto one = pool.take();
    ASSERT_TRUE(one) << one.error().what;
    EXPECT_EQ(pool.ready(), 0U);
}

TEST_F(Pool, GivesEachInstanceOnce) {
    InstancePool pool(2);
    await(pool, 2);
    const auto one = pool.take();
    const auto other = pool.take();
    ASSERT_TRUE(one && other);
    EXPECT_NE(one->prog_id(), other->prog_id());
}

}  // namespace
}  // namespace natra::datapath
