// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/options.hpp"

#include <algorithm>
#include <charconv>

namespace natra::traffic {

Result<Options> Options::parse(std::span<char* const> arguments, std::initializer_list<std::string_view> known) {
    Options options;
    for (std::size_t i = 0; i < arguments.size(); i += 2) {
        const std::string_view name = arguments[i];
        if (std::find(known.begin(), known.end(), name) == known.end())
            return fail(Error::Code::invalid_argument, "unknown option \"", name, "\"");
        if (i + 1 == arguments.size()) return fail(Error::Code::invalid_argument, name, ": value is missing");
        if (!options.values_.emplace(name, arguments[i + 1]).second)
            return fail(Error::Code::invalid_argument, name, ": given twice");
    }
    return options;
}

std::string Options::text(std::string_view name, std::string_view fallback) {
    const auto found = values_.find(name);
    return found == values_.end() ? std::string(fallback) : found->second;
}

std::string Options::required(std::string_view name) {
    const auto found = values_.find(name);
    if (found != values_.end()) return found->second;
    remember(fail(Error::Code::invalid_argument, name, " is required"));
    return {};
}

std::string Options::one_of(std::string_view name, std::initializer_list<std::string_view> allowed) {
    const std::string value = text(name, *allowed.begin());
    if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return value;
    std::string names;
    for (const auto each : allowed) names += concat(names.empty() ? "" : ", ", each);
    remember(fail(Error::Code::invalid_argument, name, ": \"", value, "\" is none of ", names));
    return std::string(*allowed.begin());
}

std::uint64_t Options::number(std::string_view name, std::uint64_t fallback, std::uint64_t min, std::uint64_t max) {
    const auto found = values_.find(name);
    if (found == values_.end()) return fallback;
    const std::string& value = found->second;
    std::uint64_t parsed = 0;
    const auto end = value.data() + value.size();
    const auto result = std::from_chars(value.data(), end, parsed);
    if (result.ec == std::errc{} && result.ptr == end && parsed >= min && parsed <= max) return parsed;
    remember(
        fail(Error::Code::invalid_argument, name, ": \"", value, "\" is not a whole number from ", min, " to ", max));
    return fallback;
}

std::vector<std::string> Options::list(std::string_view name, std::string_view fallback) {
    std::vector<std::string> items;
    const std::string value = text(name, fallback);
    std::size_t from = 0;
    while (from <= value.size()) {
        const std::size_t comma = std::min(value.find(',', from), value.size());
        if (comma == from && !value.empty()) {
            remember(fail(Error::Code::invalid_argument, name, ": empty item in \"", value, "\""));
            return items;
        }
        if (comma > from) items.push_back(value.substr(from, comma - from));
        from = comma + 1;
    }
    return items;
}

void Options::remember(Error error) {
    if (!error_) error_ = std::move(error);
}

}  // namespace natra::traffic
