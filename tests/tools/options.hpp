// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/util/error.hpp"

namespace natra::traffic {

// "--name value" pairs of one subcommand. The getters remember the first bad
// value instead of failing one by one: ask error() once after reading all.
class Options {
public:
    // Unknown names, repeated names and a missing value are errors.
    static Result<Options> parse(std::span<char* const> arguments, std::initializer_list<std::string_view> known);

    std::string text(std::string_view name, std::string_view fallback);
    // Must be present.
    std::string required(std::string_view name);
    std::string one_of(std::string_view name, std::initializer_list<std::string_view> allowed);
    std::uint64_t number(std::string_view name, std::uint64_t fallback, std::uint64_t min, std::uint64_t max);
    // Comma-separated, none of them empty.
    std::vector<std::string> list(std::string_view name, std::string_view fallback);

    [[nodiscard]] const std::optional<Error>& error() const { return error_; }

private:
    void remember(Error error);

    std::map<std::string, std::string, std::less<>> values_;
    std::optional<Error> error_;
};

}  // namespace natra::traffic
