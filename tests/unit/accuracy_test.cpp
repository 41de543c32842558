// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/accuracy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <thread>

#include "daemon/datapath/live_config.hpp"
#include "daemon/datapath/parameters.hpp"

namespace natra::pods {
namespace {

using datapath::accuracy_of;
using testing::HasSubstr;

constexpr std::uint64_t second_ns = 1'000'000'000;

// A sketch at a time of its own.
class Classification : public testing::Test {
protected:
    void SetUp() override {
        config() = datapath::make_config(
            {.rate_bps = 1'000'000, .shaper = datapath::Shaper::htb, .direction = datapath::Direction::ingress});
    }
    natra_state& state() { return *state_; }
    natra_config& config() { return state_->config[0]; }
    std::uint32_t now_units() { return static_cast<std::uint32_t>(now_ns_ >> config().unit_shift); }
    // The first `count` cells of a row are so far ahead of now.
    void fill_row(std::size_t row, std::size_t count, std::uint32_t ahead) {
        std::fill_n(state_->cell[row], count, now_units() + ahead);
    }
    void fill(std::size_t count, std::uint32_t ahead) {
        for (std::size_t row = 0; row < NATRA_SKETCH_ROWS; ++row) fill_row(row, count, ahead);
    }
    // So many flows have been noted in this epoch.
    void note_flows(std::uint32_t flows) { state_->activity = {.until_ns = now_ns_ + 2 * second_ns, .flows = flows}; }
    std::uint32_t tau(std::uint64_t flows = 1) { return static_cast<std::uint32_t>(config().tau_flow * flows); }
    datapath::Accuracy accuracy() { return accuracy_of(*state_, now_ns_); }

    std::uint64_t now_ns_ = 5000 * second_ns;

private:
    std::unique_ptr<natra_state> state_ = std::make_unique<natra_state>();
};

TEST_F(Classification, IsExactWhileNothingIsSent) {
    const auto found = accuracy();
    EXPECT_EQ(found.occupancy, 0);
    EXPECT_EQ(found.false_heavy_chance, 0);
    EXPECT_EQ(found.overestimate_bytes, 0U);
    EXPECT_NEAR(static_cast<double>(found.threshold_bytes), 32'768, 40);
}

// Of one that was in force, or of none; nor is there a data race. Each has its marks at both ends.
TEST_F(Classification, IsOfOneConfigurationWhileOthersComeIntoForce) {
    constexpr std::uint32_t kinds = 3;  // an odd number: a place has them in turn
    const auto base = config();
    const auto kind = [&](std::uint32_t number) {
        auto out = base;
        out.flow_mult = base.flow_mult * (number + 1);
        out.tau_flow = base.tau_flow * (number + 1);
        out.flags = number;
        return out;
    };
    std::atomic<bool> begun = false;
    std::atomic<bool> end = false;
    datapath::put_in_force(state(), kind(0));
    std::thread writer([&] {
        for (std::uint32_t i = 0; !end; ++i) {
            datapath::put_in_force(state(), kind(i % kinds));
            begun = true;
            std::this_thread::yield();
        }
    });
    while (!begun) std::this_thread::yield();
    constexpr int reads = 20'000;
    int torn = 0;
    for (int i = 0; i < reads; ++i) {
        const auto read = datapath::live_config(state()).config;
        const auto expected = kind(std::min(read.flags, kinds - 1));
        if (std::memcmp(&read, &expected, sizeof read) != 0) ++torn;
    }
    end = true;
    writer.join();
    EXPECT_EQ(torn, 0);
}

TEST_F(Classification, SaysNothingWhereAnotherConfigurationCameIntoForceMeanwhile) {
    const auto other = config();
    const auto used = datapath::with_live_config(state(), [&](const natra_config& read) {
        datapath::put_in_force(state(), other);
        return read.mode;
    });
    EXPECT_EQ(used, std::nullopt);
    // Back in its place, but two later.
    const auto again = datapath::with_live_config(state(), [&](const natra_config& read) {
        datapath::put_in_force(state(), other);
        datapath::put_in_force(state(), other);
        return read.mode;
    });
    EXPECT_EQ(again, std::nullopt);
    EXPECT_EQ(datapath::with_live_config(state(), [](const natra_config& read) { return read.mode; }), other.mode);
}

TEST_F(Classification, SaysNothingOfAProgramThatIsOff) {
    fill(NATRA_SKETCH_COLS, 10);
    config() = {};
    EXPECT_EQ(accuracy().occupancy, 0);
    EXPECT_EQ(accuracy().threshold_bytes, 0U);
}

TEST_F(Classification, ChanceIsTheProductOfTheRows) {
    fill(NATRA_SKETCH_COLS / 2, tau());
    auto found = accuracy();
    EXPECT_DOUBLE_EQ(found.occupancy, 0.5);
    EXPECT_DOUBLE_EQ(found.false_heavy_chance, 1.0 / 16);
    EXPECT_NEAR(static_cast<double>(found.overestimate_bytes), 32'768, 40) << "one flow in sixteen";

    fill(NATRA_SKETCH_COLS, 0);
    fill(NATRA_SKETCH_COLS / 2, tau() - 1);
    found = accuracy();
    EXPECT_DOUBLE_EQ(found.occupancy, 0.5);
    EXPECT_EQ(found.false_heavy_chance, 0) << "what is below the threshold leaves room for a byte";
}

TEST_F(Classification, OneEmptyRowIsEnough) {
    fill(NATRA_SKETCH_COLS, tau());
    EXPECT_EQ(accuracy().false_heavy_chance, 1);
    fill_row(2, NATRA_SKETCH_COLS, 0);
    const auto found = accuracy();
    EXPECT_DOUBLE_EQ(found.occupancy, 0.75);
    EXPECT_EQ(found.false_heavy_chance, 0);
    EXPECT_EQ(found.overestimate_bytes, 0U);
}

TEST_F(Classification, CellsOfThePastAndOfBeforeAWrapAreEmpty) {
    for (const std::uint32_t ahead : {0U - 1U, 0U - (1U << 31), config().guard + 1}) {
        fill(NATRA_SKETCH_COLS, ahead);
        EXPECT_EQ(accuracy().occupancy, 0) << ahead;
        EXPECT_EQ(accuracy().false_heavy_chance, 0) << ahead;
    }
    fill(NATRA_SKETCH_COLS, config().guard);
    EXPECT_EQ(accuracy().false_heavy_chance, 1) << "the furthest that counts";
}

TEST_F(Classification, UnitsWrap) {
    now_ns_ = ((std::uint64_t{7} << 32) - 5) << config().unit_shift;
    fill(NATRA_SKETCH_COLS, tau());
    EXPECT_EQ(accuracy().false_heavy_chance, 1);
    EXPECT_LT(state().cell[0][0], tau());
}

TEST_F(Classification, FlowsThatCompeteDivideTheShareAndMultiplyTheThreshold) {
    note_flows(7);  // and the one that begins
    EXPECT_NEAR(static_cast<double>(accuracy().threshold_bytes), 32'768, 40) << "what a flow may send stays";
    fill(NATRA_SKETCH_COLS, tau(8) - 1);
    EXPECT_EQ(accuracy().false_heavy_chance, 0);
    EXPECT_NEAR(static_cast<double>(accuracy().overestimate_bytes), 32'768, 40);
    fill(NATRA_SKETCH_COLS, tau(8));
    EXPECT_EQ(accuracy().false_heavy_chance, 1);
    fill(NATRA_SKETCH_COLS, tau(1));
    EXPECT_NEAR(static_cast<double>(accuracy().overestimate_bytes), 32'768.0 / 8, 10);
}

TEST_F(Classification, ThresholdHasBounds) {
    // 4 s at two thirds of a fair share of the rate, once ten and more compete: 125'000 * 4 / 1.5 / n bytes
    note_flows(19);
    EXPECT_NEAR(static_cast<double>(accuracy().threshold_bytes), 125'000 * 4 / 1.5 / 20, 10);
    note_flows(NATRA_ACTIVITY_WORDS * 64);
    EXPECT_NEAR(static_cast<double>(accuracy().threshold_bytes), 125'000 * 4 / 1.5 / NATRA_MAX_FLOWS, 10);
    // 50 ms of it, for one that is alone at a rate that carries 32 kB in less than two thirds of them
    config() = datapath::make_config({.rate_bps = 100'000'000, .shaper = datapath::Shaper::htb});
    note_flows(0);
    EXPECT_NEAR(static_cast<double>(accuracy().threshold_bytes), 12'500'000 * 0.05 / 1.5, 100);
}

TEST_F(Classification, FlowsAreCountedForTwoEpochs) {
    note_flows(7);
    fill(NATRA_SKETCH_COLS, tau(7));
    EXPECT_EQ(accuracy().false_heavy_chance, 0);
    state().activity.until_ns = now_ns_ + 1;
    EXPECT_EQ(accuracy().false_heavy_chance, 0);
    state().activity.until_ns = now_ns_;
    EXPECT_EQ(accuracy().false_heavy_chance, 1) << "one flow alone";
}

TEST_F(Classification, AFlowThatBeginsIsOneOfTheStrangers) {
    note_flows(8);
    state().activity.seen[1][0] = 1;  // theirs
    fill(NATRA_SKETCH_COLS, tau(8));
    EXPECT_EQ(accuracy().false_heavy_chance, 1);
    state().activity.seen[1][0] = 2;
    EXPECT_EQ(accuracy().false_heavy_chance, 0) << "nine compete";
}

TEST_F(Classification, ThresholdStandsHoweverMuchOfTheAllowanceIsUsed) {
    state().small_clock_ns = now_ns_ + config().small_allowance_ns * 3;
    EXPECT_NEAR(static_cast<double>(accuracy().threshold_bytes), 32'768, 40);
}

TEST_F(Classification, OverestimateIsWhatOneFlowInAHundredExceeds) {
    const auto bytes = [&](std::uint32_t units) {
        return static_cast<std::uint64_t>(std::ldexp(units, static_cast<int>(config().flow_shift)) /
                                          static_cast<double>(config().flow_mult));
    };
    // 0.31 of the cells of each row: 0.0092 of all flows meet none that is empty. With 0.32 it is 0.0105.
    fill(NATRA_SKETCH_COLS * 31 / 100, 400);
    EXPECT_EQ(accuracy().overestimate_bytes, 0U);
    fill(NATRA_SKETCH_COLS * 33 / 100, 400);
    EXPECT_EQ(accuracy().overestimate_bytes, bytes(400));
    // Some of them are higher, but too few.
    fill(NATRA_SKETCH_COLS * 20 / 100, 9000);
    EXPECT_EQ(accuracy().overestimate_bytes, bytes(400));
    // Rows are not alike: 0.5 * 0.5 * 0.25 * 0.25 are 0.0156.
    fill(NATRA_SKETCH_COLS, 0);
    fill_row(0, NATRA_SKETCH_COLS / 2, 700);
    fill_row(1, NATRA_SKETCH_COLS / 2, 600);
    fill_row(2, NATRA_SKETCH_COLS / 4, 800);
    fill_row(3, NATRA_SKETCH_COLS / 4, 900);
    EXPECT_EQ(accuracy().overestimate_bytes, bytes(600));
}

using Sample = ClassificationHistory::Sample;
constexpr std::uint64_t second_us = 1'000'000;

TEST(ClassificationHistory, TellsOfFlowsTakenForHeavy) {
    ClassificationHistory history;
    history.add({.accuracy = {.false_heavy_chance = 0.0099}}, second_us);
    EXPECT_EQ(history.trouble(second_us), "");
    history.add({.accuracy = {.false_heavy_chance = 0.042}}, 2 * second_us);
    EXPECT_THAT(history.trouble(2 * second_us), HasSubstr("more than 1 % of the flows that begin are taken for heavy"));
    history.add({}, 12 * second_us);
    EXPECT_THAT(history.trouble(61 * second_us), HasSubstr("more than 1 %")) << "of late";
    EXPECT_EQ(history.trouble(62 * second_us), "");
}

TEST(ClassificationHistory, TellsOfATableThatIsTooSmall) {
    ClassificationHistory history;
    history.add({.heavy_packets = 1'000'000, .table_misses = 500'000}, second_us);
    EXPECT_EQ(history.trouble(second_us), "") << "nobody knows since when";
    history.add({.heavy_packets = 1'001'000, .table_misses = 500'009}, 2 * second_us);
    EXPECT_EQ(history.trouble(2 * second_us), "");
    history.add({.heavy_packets = 1'001'050, .table_misses = 500'049}, 3 * second_us);
    EXPECT_EQ(history.trouble(3 * second_us), "") << "too few packets";
    history.add({.heavy_packets = 1'002'050, .table_misses = 500'599}, 4 * second_us);
    EXPECT_THAT(history.trouble(4 * second_us), HasSubstr("more than 50 % of heavy flows' packets"));
    history.add({.heavy_packets = 1'003'050, .table_misses = 500'599}, 5 * second_us);
    EXPECT_THAT(history.trouble(63 * second_us), HasSubstr("more than 50 %"));
    EXPECT_EQ(history.trouble(64 * second_us), "");
}

TEST(ClassificationHistory, SaysTheSameWhileItLasts) {
    ClassificationHistory history;
    history.add({}, 0);
    history.add({.accuracy = {.false_heavy_chance = 0.02}, .heavy_packets = 1000, .table_misses = 600}, second_us);
    const auto begun = history.trouble(second_us);
    history.add({.accuracy = {.false_heavy_chance = 0.9}, .heavy_packets = 2000, .table_misses = 1500}, 10 * second_us);
    EXPECT_EQ(history.trouble(10 * second_us), begun) << "or all who watch would be told every time";
}

TEST(ClassificationHistory, BeginsAnewWithTheCounters) {
    ClassificationHistory history;
    history.add({.heavy_packets = 1000, .table_misses = 10}, second_us);
    history.add({.heavy_packets = 5000, .table_misses = 0}, 2 * second_us);
    history.add({.heavy_packets = 0, .table_misses = 0}, 3 * second_us);
    EXPECT_EQ(history.trouble(3 * second_us), "");
}

TEST(ClassificationHistory, TellsBoth) {
    ClassificationHistory history;
    history.add({}, 0);
    history.add({.accuracy = {.false_heavy_chance = 1}, .heavy_packets = 1000, .table_misses = 1000}, second_us);
    EXPECT_THAT(history.trouble(second_us),
                testing::ContainsRegex("1 % of the flows.*; more than 50 % of heavy flows"));
}

}  // namespace
}  // namespace natra::pods
