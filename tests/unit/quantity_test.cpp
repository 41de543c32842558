// SPDX-License-Identifier: Apache-2.0
#include "daemon/limits/quantity.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace natra::limits {
namespace {

struct Good {
    const char* text;
    std::uint64_t value;
};

constexpr std::uint64_t largest = 9223372036854775807ULL;

constexpr Good good[] = {
    {"0", 0},
    {"-0", 0},
    {"+7", 7},
    {"00012", 12},
    {"1n", 1},
    {"1000000000n", 1},
    {"1000000001n", 2},
    {"500u", 1},
    {"1m", 1},
    {"1000m", 1},
    {"1001m", 2},
    {"10M", 10'000'000},
    {"10Mi", 10'485'760},
    {"1k", 1000},
    {"1Ki", 1024},
    {"3G", 3'000'000'000},
    {"3Gi", 3'221'225'472},
    {"2T", 2'000'000'000'000},
    {"2Ti", 2'199'023'255'552},
    {"1P", 1'000'000'000'000'000},
    {"1Pi", 1'125'899'906'842'624},
    {"1E", 1'000'000'000'000'000'000},
    {"7Ei", 8'070'450'532'247'928'832},
    {"1e6", 1'000'000},
    {"1E6", 1'000'000},
    {"1e+6", 1'000'000},
    {"1e0", 1},
    {"12e-1", 2},
    {"1.5e3", 1500},
    {"1e-999999999999", 1},
    {"0e999999999999", 0},
    {"1.5M", 1'500'000},
    {"1.5Mi", 1'572'864},
    {".5k", 500},
    {"5.k", 5000},
    {"0.1", 1},
    {"0.1Ki", 103},  // 102.4
    // No double could tell these apart.
    {"9007199254740993", 9007199254740993},
    {"9.007199254740993P", 9007199254740993},
    {"0.000000000000000001E", 1},
    {"1.000000000000000001E", 1000000000000000001},
    {"0.00000000000000000000000000001Ei", 1},
    // 2^60 / 10^9 = 1152921504.6: zeros before the digits cost no exactness.
    {"0.00000000100000000000000000000000000001Ei", 1'152'921'505},
    {"0.0000000010Ei", 1'152'921'505},
    {"0.00000000000000000086736173798840354720597Ei", 2},
    {"0.000000000000000000000000000000000000000000000000000000000000000001Ei", 1},
    {"1.00000000000000000000000000001Ei", 1152921504606846977},
    {"123456789012345678901234567890e-20", 1234567891},
    {"9223372036854775807", largest},
    {"9223372036854775806.1", largest},
    {"7.999999999999999999Ei", 9223372036854775807ULL},
    {"1.50000000000000000000000000000000000000000000", 2},
};

TEST(Quantity, IsReadExactlyAndRoundedUp) {
    for (const auto& [text, value] : good) {
        SCOPED_TRACE(text);
        const auto r = parse_quantity(text);
        ASSERT_TRUE(r) << r.error().what;
        EXPECT_EQ(*r, value);
    }
}

TEST(Quantity, OtherTextsAreNone) {
    for (const char* text : {"",    " ",   "1 ",  " 1",  "M",   ".",   ".M",  "-",    "+",    "1.1.1", "1,5",   "10m/s",
                             "1K",  "1ki", "1mi", "1i",  "1ni", "1kk", "1MM", "1e",   "1e+",  "1e-",   "1e1.5", "1e6M",
                             "0x1", "1\n", "١",   "Inf", "NaN", "--1", "+-1", "1e 6", "10 M", "1Mb",   "1b",    "1g"}) {
        SCOPED_TRACE(text);
        const auto r = parse_quantity(text);
        ASSERT_FALSE(r) << *r;
        EXPECT_EQ(r.error().code, Error::Code::invalid_argument);
        EXPECT_THAT(r.error().what, testing::HasSubstr("not a quantity"));
    }
    EXPECT_FALSE(parse_quantity(std::string_view("1\0", 2)));
}

TEST(Quantity, HasBounds) {
    const std::pair<const char*, const char*> table[] = {
        {"-1", "negative"},
        {"-1n", "negative"},
        {"9223372036854775808", "above 2^63 - 1"},
        {"9223372036854775807.1", "above 2^63 - 1"},
        {"8Ei", "above 2^63 - 1"},
        {"7.9999999999999999999Ei", "above 2^63 - 1"},  // rounded up
        {"10E", "above 2^63 - 1"},
        {"1e19", "above 2^63 - 1"},
        {"1e999999999999999999999", "above 2^63 - 1"},
        {"1234567890123456789012345678901", "more than 30 digits"},
        {"0.1234567890123456789012345678901", "more than 30 digits"},
    };
    for (const auto& [text, why] : table) {
        SCOPED_TRACE(text);
        const auto r = parse_quantity(text);
        ASSERT_FALSE(r) << *r;
        EXPECT_EQ(r.error().what, why);
    }
}

// Against arithmetic of another kind: every whole number of thousandths.
TEST(Quantity, ThousandthsAgreeWithDivision) {
    for (std::uint64_t n = 0; n < 5000; ++n) {
        const auto expected = (n + 999) / 1000;
        const auto fraction = std::to_string(1000 + n % 1000).substr(1);
        EXPECT_EQ(*parse_quantity(std::to_string(n) + "m"), expected);
        EXPECT_EQ(*parse_quantity(std::to_string(n / 1000) + "." + fraction), expected);
        EXPECT_EQ(*parse_quantity(std::to_string(n) + "e-3"), expected);
        EXPECT_EQ(*parse_quantity(std::to_string(n / 1000) + "." + fraction + "Ki"), (n * 1024 + 999) / 1000);
    }
}

}  // namespace
}  // namespace natra::limits
