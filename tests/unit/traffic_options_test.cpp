// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/options.hpp"

#include <gmock/gmock.h>

namespace natra::traffic {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Result<Options> parse(std::vector<std::string> words) {
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    return Options::parse(arguments, {"--rate", "--names", "--mode"});
}

std::string parse_error(const std::vector<std::string>& words) {
    const auto parsed = parse(words);
    return parsed ? "" : parsed.error().what;
}

TEST(Options, ReadsWhatIsGivenAndFallsBack) {
    auto options = *parse({"--rate", "12"});
    EXPECT_EQ(options.number("--rate", 5, 1, 100), 12U);
    EXPECT_EQ(options.text("--names", "x"), "x");
    EXPECT_EQ(options.one_of("--mode", {"up", "down"}), "up");
    EXPECT_FALSE(options.error());
}

TEST(Options, RefusesUnknownRepeatedAndHalfOptions) {
    EXPECT_THAT(parse_error({"--speed", "1"}), HasSubstr("--speed"));
    EXPECT_THAT(parse_error({"--rate"}), HasSubstr("--rate: value is missing"));
    EXPECT_THAT(parse_error({"--rate", "1", "--rate", "2"}), HasSubstr("--rate: given twice"));
}

TEST(Options, NumbersAreWholeAndInRange) {
    for (const auto* bad : {"", "x", "5x", "-1", "1.5", "101", "0", "99999999999999999999"}) {
        auto options = *parse({"--rate", bad});
        options.number("--rate", 5, 1, 100);
        ASSERT_TRUE(options.error()) << bad;
        EXPECT_THAT(options.error()->what, HasSubstr("--rate"));
    }
}

TEST(Options, RemembersTheFirstError) {
    auto options = *parse({"--rate", "x", "--mode", "sideways"});
    options.number("--rate", 5, 1, 100);
    EXPECT_EQ(options.one_of("--mode", {"up", "down"}), "up");
    EXPECT_THAT(options.error()->what, HasSubstr("--rate"));
}

TEST(Options, ListsHaveNoEmptyItems) {
    EXPECT_THAT(parse({"--names", "a,b"})->list("--names", ""), ElementsAre("a", "b"));
    EXPECT_THAT(parse({})->list("--names", ""), IsEmpty());
    for (const auto* bad : {",a", "a,,b", "a,"}) {
        auto options = *parse({"--names", bad});
        options.list("--names", "");
        EXPECT_TRUE(options.error()) << bad;
    }
}

}  // namespace
}  // namespace natra::traffic
