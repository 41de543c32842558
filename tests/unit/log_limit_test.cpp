// SPDX-License-Identifier: Apache-2.0
#include "daemon/util/log_limit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "daemon/util/error.hpp"

namespace natra::log {
namespace {

constexpr std::uint64_t second_us = LineLimit::interval_us;

Line about(const std::string& attachment, const std::string& text, const Event& event = events::limits_changed) {
    return {.level = Level::info, .event = &event, .text = text, .fields = {{"NATRA_ATTACHMENT", attachment}}};
}

unsigned admitted(LineLimit& limit, const Line& line, std::uint64_t now_us, unsigned times = 1000) {
    unsigned out = 0;
    for (unsigned i = 0; i < times; ++i) out += limit.admit(line, now_us) ? 1 : 0;
    return out;
}

TEST(LineLimit, WritesSoManyOfAKindAtOnce) {
    LineLimit limit;
    EXPECT_EQ(admitted(limit, about("a", "changed"), 0), LineLimit::at_once);
    EXPECT_EQ(admitted(limit, about("a", "changed otherwise"), 0), 0U) << "of the same kind";
    EXPECT_EQ(admitted(limit, about("b", "changed"), 0), LineLimit::at_once) << "another attachment";
    EXPECT_EQ(admitted(limit, about("a", "changed", events::detached), 0), LineLimit::at_once) << "another event";
    EXPECT_EQ(admitted(limit, {.level = Level::error, .text = "x", .fields = {}}, 0), LineLimit::at_once);
    EXPECT_EQ(admitted(limit, {.level = Level::error, .text = "x", .fields = {}}, 0), 0U);
    EXPECT_EQ(admitted(limit, {.level = Level::error, .text = "y", .fields = {}}, 0), LineLimit::at_once);
}

TEST(LineLimit, WhatIsAboutAFileIsOfTheFilesKind) {
    LineLimit limit;
    const auto file = [](const std::string& path) {
        return Line{.level = Level::warning,
                    .event = &events::not_attached,
                    .text = "not a file",
                    .fields = {{"NATRA_FILE", path}}};
    };
    EXPECT_EQ(admitted(limit, file("/a"), 0), LineLimit::at_once);
    EXPECT_EQ(admitted(limit, file("/b"), 0), LineLimit::at_once);
    EXPECT_EQ(admitted(limit, about("/b", "not a file", events::not_attached), 0), LineLimit::at_once);
}

TEST(LineLimit, WhatIsAboutNeitherIsOfItsTextsKind) {
    LineLimit limit;
    const auto said = [](const std::string& text, log::Fields fields = {}) {
        return Line{
            .level = Level::info, .event = &events::configuration_reloaded, .text = text, .fields = std::move(fields)};
    };
    EXPECT_EQ(admitted(limit, said("x"), 0), LineLimit::at_once);
    EXPECT_EQ(admitted(limit, said("x"), 0), 0U);
    EXPECT_EQ(admitted(limit, said("y"), 0), LineLimit::at_once);
    EXPECT_EQ(admitted(limit, said("y", {{"NATRA_ATTACHMENT", ""}}), 0), 0U) << "an empty field is none";
    EXPECT_EQ(admitted(limit, {.level = Level::info, .text = "x", .fields = {}}, 0), LineLimit::at_once)
        << "without the event";
}

TEST(LineLimit, TheLastOfThoseLeftOutFollows) {
    LineLimit limit;
    for (unsigned i = 0; i < LineLimit::at_once + 3; ++i) limit.admit(about("a", concat("line ", i)), 0);
    EXPECT_TRUE(limit.due(second_us / 2).empty());
    const auto held = limit.due(second_us);
    ASSERT_EQ(held.size(), 1U);
    EXPECT_EQ(held[0].line.text, concat("line ", LineLimit::at_once + 2));
    EXPECT_EQ(held[0].line.event, &events::limits_changed);
    EXPECT_EQ(held[0].left_out, 2U);
    EXPECT_TRUE(limit.due(2 * second_us).empty()) << "once";
}

TEST(LineLimit, NothingOvertakesWhatIsKept) {
    LineLimit limit;
    admitted(limit, about("a", "before"), 0, LineLimit::at_once + 1);
    EXPECT_FALSE(limit.admit(about("a", "last"), 10 * second_us));
    const auto held = limit.due(10 * second_us);
    ASSERT_EQ(held.size(), 1U);
    EXPECT_EQ(held[0].line.text, "last");
    EXPECT_EQ(held[0].left_out, 1U);
    EXPECT_EQ(admitted(limit, about("a", "next"), 10 * second_us), 9U) << "of ten in ten seconds, one is that";
}

TEST(LineLimit, AfterAQuietTimeItIsAsAtFirst) {
    LineLimit limit;
    admitted(limit, about("a", "changed"), 0, LineLimit::at_once);
    EXPECT_EQ(admitted(limit, about("a", "changed"), 1000 * second_us), LineLimit::at_once);
}

// Names come from outside: a kind that is remembered for ever is a leak.
TEST(LineLimit, ForgetsAKindOnceItsBurstIsFullAgain) {
    LineLimit limit;
    for (int i = 0; i < 100; ++i) limit.admit(about(std::to_string(i), "changed"), 0);
    EXPECT_EQ(limit.kinds(), 100U);
    limit.due(second_us - 1);
    EXPECT_EQ(limit.kinds(), 100U) << "one line of each is still to be made up for";
    limit.due(second_us);
    EXPECT_EQ(limit.kinds(), 0U);
}

TEST(LineLimit, DoesNotForgetWhatIsKept) {
    LineLimit limit;
    admitted(limit, about("a", "changed"), 0, LineLimit::at_once + 1);
    EXPECT_EQ(limit.due(second_us).size(), 1U);
    EXPECT_EQ(limit.kinds(), 1U);
    EXPECT_EQ(admitted(limit, about("a", "changed"), second_us), 0U) << "the burst is used, and the second's line, too";
}

TEST(LineLimit, AtTheEndAllIsSaid) {
    LineLimit limit;
    admitted(limit, about("a", "changed"), 0);
    admitted(limit, about("b", "changed"), 0);
    EXPECT_EQ(limit.all().size(), 2U);
    EXPECT_TRUE(limit.all().empty());
}

TEST(FlushAtEnd, WritesWhatIsKeptWhateverEndsItsScope) {
    testing::internal::CaptureStderr();
    const auto fails = [] {
        const FlushAtEnd flush;
        for (int i = 0; i < 1000; ++i) info("the same again");
        throw std::runtime_error("x");
    };
    EXPECT_THROW(fails(), std::runtime_error);
    EXPECT_THAT(testing::internal::GetCapturedStderr(),
                testing::HasSubstr(" lines like this one before it were left out)\n"));
}

}  // namespace
}  // namespace natra::log
