// SPDX-License-Identifier: Apache-2.0
#include "daemon/limits/floor.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "daemon/util/error.hpp"

namespace natra::limits {
namespace {

constexpr std::size_t longest_shown = 12;  // of what is worth to be said again

std::string in_bits(double rate) {
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", rate);
    return text;
}

}  // namespace

std::string too_slow(std::string_view quantity) {
    auto least = concat("the lowest rate is ", min_set_rate_bps, " bit/s");
    const auto digits = std::min(quantity.find_first_not_of("0123456789."), quantity.size());
    const auto number = quantity.substr(0, digits);
    const auto suffix = quantity.substr(digits);
    constexpr std::string_view small = "mun";
    const auto power = suffix.size() == 1 ? small.find(suffix[0]) : std::string_view::npos;
    if (digits == 0 || digits > longest_shown || (!suffix.empty() && power == std::string_view::npos)) return least;
    const auto thousandths = suffix.empty() ? 0.0 : static_cast<double>(power) + 1;
    const auto rate = std::strtod(std::string(number).c_str(), nullptr) * std::pow(1000, -thousandths);
    const auto is = concat(quantity, suffix.empty() ? " is taken as " : " is ", in_bits(rate), " bit/s; ");
    return suffix.empty() || suffix == "m" ? concat(is, "did you mean ", number, "M?") : is + least;
}

}  // namespace natra::limits
