// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/duration.hpp"

#include <charconv>
#include <cmath>

namespace natra::config {
namespace {

struct Unit {
    std::string_view name;
    std::uint64_t ns;
};
constexpr Unit largest_first[] = {{"s", 1'000'000'000}, {"ms", 1'000'000}, {"us", 1'000}, {"ns", 1}};

}  // namespace

std::optional<std::uint64_t> parse_duration(std::string_view text) {
    double number = 0;
    const auto [rest, error] =
        std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (error != std::errc() || std::signbit(number) || !std::isfinite(number)) return std::nullopt;
    auto unit = text.substr(static_cast<std::size_t>(rest - text.data()));
    if (unit.starts_with(' ')) unit.remove_prefix(1);
    for (const auto& [name, ns] : largest_first) {
        if (unit != name) continue;
        const double product = std::round(number * static_cast<double>(ns));
        if (product >= std::ldexp(1, 63)) return std::nullopt;
        return static_cast<std::uint64_t>(product);
    }
    return std::nullopt;
}

std::string print_duration(std::uint64_t ns) {
    for (const auto& [name, unit] : largest_first)
        if (ns % unit == 0) return std::to_string(ns / unit) + std::string(name);
    return std::to_string(ns) + "ns";
}

}  // namespace natra::config
