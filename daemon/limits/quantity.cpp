// SPDX-License-Identifier: Apache-2.0
#include "daemon/limits/quantity.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>

namespace natra::limits {
namespace {

using Code = Error::Code;
constexpr int max_digits = 30;
constexpr std::uint64_t max_value = std::numeric_limits<std::int64_t>::max();

// digits / 10^decimals. Decimal digits, the most significant first and not 0; none: zero.
struct Number {
    std::deque<unsigned> digits;
    std::int64_t decimals = 0;
};

struct Suffix {
    int power_of_ten = 0;
    int power_of_two = 0;
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

Error malformed() { return fail(Code::invalid_argument, "not a quantity such as 10M, 1.5Gi or 1e6"); }
Error too_large() { return fail(Code::invalid_argument, "above 2^63 - 1"); }

// Takes "12", "12.5", "12." or ".5" off the front of `text`.
Result<Number> take_number(std::string_view& text) {
    std::size_t at = 0;
    std::size_t digits = 0;
    bool point = false;
    for (; at < text.size() && (is_digit(text[at]) || (text[at] == '.' && !point)); ++at) {
        point = point || text[at] == '.';
        digits += text[at] != '.' ? 1 : 0;
    }
    if (digits == 0) return malformed();
    auto number = text.substr(0, at);
    text.remove_prefix(at);
    // Zeros at the end of a fraction would count as digits.
    if (point)
        while (number.back() == '0') number.remove_suffix(1);

    Number out;
    bool in_fraction = false;
    for (const char c : number) {
        if (c == '.') {
            in_fraction = true;
            continue;
        }
        if (!out.digits.empty() || c != '0') out.digits.push_back(static_cast<unsigned>(c - '0'));
        if (out.digits.size() > max_digits) return fail(Code::invalid_argument, "more than ", max_digits, " digits");
        out.decimals += in_fraction ? 1 : 0;
    }
    return out;
}

// "6", "+6", "-6" behind an e. Large ones are cut where the result is certain by then.
std::optional<int> parse_exponent(std::string_view text) {
    constexpr int enough = 1'000'000;
    const bool negative = text.starts_with('-');
    if (negative || text.starts_with('+')) text.remove_prefix(1);
    if (text.empty() || !std::all_of(text.begin(), text.end(), is_digit)) return std::nullopt;
    int out = 0;
    for (const char c : text) out = std::min(out * 10 + (c - '0'), enough);
    return negative ? -out : out;
}

std::optional<Suffix> parse_suffix(std::string_view text) {
    if (text.empty()) return Suffix{};
    constexpr std::string_view large = "kMGTPE";
    constexpr std::string_view binary = "KMGTPE";
    constexpr std::string_view small = "mun";
    const auto power = [](std::string_view letters, char c) -> int {
        const auto at = letters.find(c);
        return at == std::string_view::npos ? 0 : static_cast<int>(at) + 1;
    };
    if (text.size() == 1 && power(large, text[0]) != 0) return Suffix{.power_of_ten = 3 * power(large, text[0])};
    if (text.size() == 1 && power(small, text[0]) != 0) return Suffix{.power_of_ten = -3 * power(small, text[0])};
    if (text.size() == 2 && text[1] == 'i' && power(binary, text[0]) != 0)
        return Suffix{.power_of_two = 10 * power(binary, text[0])};
    if (text[0] != 'e' && text[0] != 'E') return std::nullopt;
    const auto exponent = parse_exponent(text.substr(1));
    if (!exponent) return std::nullopt;
    return Suffix{.power_of_ten = *exponent};
}

void double_digits(std::deque<unsigned>& digits) {
    unsigned carry = 0;
    for (std::size_t i = digits.size(); i-- > 0;) {
        const unsigned doubled = digits[i] * 2 + carry;
        digits[i] = doubled % 10;
        carry = doubled / 10;
    }
    if (carry != 0) digits.push_front(carry);
}

// Rounded up.
Result<std::uint64_t> whole_number(const Number& number) {
    const auto size = static_cast<std::int64_t>(number.digits.size());
    const auto whole_digits = std::max<std::int64_t>(size - number.decimals, 0);
    if (whole_digits > std::numeric_limits<std::uint64_t>::digits10) return too_large();
    std::uint64_t out = 0;
    for (std::int64_t i = 0; i < whole_digits; ++i)
        out = out * 10 + (i < size ? number.digits[static_cast<std::size_t>(i)] : 0);
    const auto rest = number.digits.begin() + std::min(whole_digits, size);
    if (std::any_of(rest, number.digits.end(), [](unsigned digit) { return digit != 0; })) ++out;
    if (out > max_value) return too_large();
    return out;
}

}  // namespace

Result<std::uint64_t> parse_quantity(std::string_view text) {
    const bool negative = text.starts_with('-');
    if (negative || text.starts_with('+')) text.remove_prefix(1);
    auto number = take_number(text);
    if (!number) return number.error();
    const auto suffix = parse_suffix(text);
    if (!suffix) return malformed();
    if (number->digits.empty()) return std::uint64_t{0};
    if (negative) return fail(Code::invalid_argument, "negative");
    number->decimals -= suffix->power_of_ten;
    for (int i = 0; i < suffix->power_of_two; ++i) double_digits(number->digits);
    return whole_number(*number);
}

}  // namespace natra::limits
