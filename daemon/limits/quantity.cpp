// SPDX-License-Identifier: Apache-2.0
#include "daemon/limits/quantity.hpp"

#include <algorithm>
#include <limits>
#include <optional>

namespace natra::limits {
namespace {

using Code = Error::Code;
__extension__ using Wide = unsigned __int128;

constexpr int max_digits = 30;  // 10^30 < 2^100: doubling and adding a digit stay within 128 bits
constexpr Wide max_value = std::numeric_limits<std::int64_t>::max();

struct Number {
    Wide mantissa = 0;
    int decimals = 0;  // the value is mantissa / 10^decimals
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
    int significant = 0;
    bool in_fraction = false;
    for (const char c : number) {
        if (c == '.') {
            in_fraction = true;
            continue;
        }
        if (significant != 0 || c != '0') ++significant;
        if (significant > max_digits) return fail(Code::invalid_argument, "more than ", max_digits, " digits");
        out.mantissa = out.mantissa * 10 + static_cast<Wide>(c - '0');
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

// mantissa / 10^decimals * 2^power_of_two, rounded up.
Result<std::uint64_t> divide(Wide mantissa, int decimals, int power_of_two) {
    // Below 10^-7 by then: what is not nothing is one.
    if (decimals > max_digits + 7) return mantissa != 0 ? std::uint64_t{1} : 0;
    Wide divisor = 1;
    for (int i = 0; i < decimals; ++i) divisor *= 10;
    Wide whole = mantissa / divisor;
    Wide rest = mantissa % divisor;
    // Only numbers without an exponent are doubled: there the divisor is 10^30 at most.
    for (int i = 0; i < power_of_two; ++i) {
        rest *= 2;
        whole = whole * 2 + (rest >= divisor ? 1 : 0);
        rest -= rest >= divisor ? divisor : 0;
        if (whole > max_value) return too_large();
    }
    whole += rest != 0 ? 1 : 0;
    if (whole > max_value) return too_large();
    return static_cast<std::uint64_t>(whole);
}

}  // namespace

Result<std::uint64_t> parse_quantity(std::string_view text) {
    const bool negative = text.starts_with('-');
    if (negative || text.starts_with('+')) text.remove_prefix(1);
    auto number = take_number(text);
    if (!number) return number.error();
    const auto suffix = parse_suffix(text);
    if (!suffix) return malformed();
    auto [mantissa, decimals] = *number;
    if (mantissa == 0) return std::uint64_t{0};
    if (negative) return fail(Code::invalid_argument, "negative");
    decimals -= suffix->power_of_ten;
    for (; decimals < 0; ++decimals) {
        mantissa *= 10;
        if (mantissa > max_value) return too_large();
    }
    return divide(mantissa, decimals, suffix->power_of_two);
}

}  // namespace natra::limits
