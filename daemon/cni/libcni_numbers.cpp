// SPDX-License-Identifier: Apache-2.0
#include "daemon/cni/libcni_numbers.hpp"

#include <cmath>
#include <cstdint>

namespace natra::cni {
namespace {

Json as_printed(double number) {
    // Go prints these without a point; -0 stays what no plugin takes for an amount. The bounds are exact as doubles.
    constexpr double above_uint64 = 18446744073709551616.0;
    constexpr double min_int64 = -9223372036854775808.0;
    const bool whole = std::trunc(number) == number;
    if (!whole || number >= above_uint64 || number < min_int64 || (number == 0 && std::signbit(number))) return number;
    return number < 0 ? Json(static_cast<std::int64_t>(number)) : Json(static_cast<std::uint64_t>(number));
}

}  // namespace

Json with_libcni_numbers(Json value) {
    if (value.is_number()) return as_printed(value.get<double>());
    if (value.is_structured())
        for (auto& each : value) each = with_libcni_numbers(std::move(each));
    return value;
}

}  // namespace natra::cni
