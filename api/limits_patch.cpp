// SPDX-License-Identifier: Apache-2.0
#include "api/limits_patch.hpp"

#include <algorithm>
#include <iterator>
#include <set>
#include <vector>

#include "api/problem.hpp"
#include "api/text.hpp"
#include "daemon/limits/floor.hpp"
#include "daemon/limits/limits.hpp"
#include "daemon/limits/quantity.hpp"
#include "daemon/util/shortened.hpp"

namespace natra::api {
namespace {

using Code = Error::Code;

constexpr std::string_view patch_type = "application/merge-patch+json";

// Its value where it is short, else what kind it is: for the member "value" of problems.
Json shown(const Json& value) {
    if (value.is_array()) return "an array";
    if (value.is_object()) return "an object";
    if (value.is_string()) return shortened(value.get_ref<const std::string&>());
    return value;
}

// Of the member `name` in the object `outer`; empty: in the body itself.
std::string field_of(std::string_view outer, std::string_view name) {
    return concat(outer, outer.empty() ? "" : ".", shortened(name));
}

struct ParseFailure {
    std::string what;
    std::string field;  // if it is about one
};

std::variant<Json, ParseFailure> parse(std::string_view body) {
    constexpr int max_depth = 8;
    std::vector<std::set<std::string>> seen;
    std::vector<std::string> names;  // of the objects that are open, the key that was read last
    std::string repeated;            // the first of those that are given twice
    bool too_deep = false;
    const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
        too_deep = too_deep || depth > max_depth;
        if (event == Json::parse_event_t::object_start) {
            seen.emplace_back();
            names.emplace_back();
        }
        if (event == Json::parse_event_t::object_end) {
            seen.pop_back();
            names.pop_back();
        }
        if (event == Json::parse_event_t::key) {
            names.back() = value.get<std::string>();
            // The parser reads on, whatever it is answered.
            if (repeated.empty() && !seen.back().insert(names.back()).second)
                for (const auto& name : names) repeated = field_of(repeated, name);
        }
        return !too_deep && repeated.empty();
    };
    // The parser would take it for the end.
    if (body.find('\0') != std::string_view::npos) return ParseFailure{"the body is not JSON: a NUL byte", {}};
    try {
        auto document = Json::parse(body.begin(), body.end(), watch);
        if (too_deep) return ParseFailure{"the body is nested too deeply", {}};
        if (!repeated.empty()) return ParseFailure{concat(repeated, ": is given twice"), repeated};
        return document;
    } catch (const Json::exception& e) {
        const std::string_view what = e.what();
        const auto end = what.find("] ");
        return ParseFailure{
            concat("the body is not JSON: ", end == std::string_view::npos ? what : what.substr(end + 2)), {}};
    }
}

using Wrong = std::optional<Response>;

struct Unit {
    const char* name;
    std::uint64_t most;
    bool is_rate;
};
constexpr Unit rate_unit{"bit/s", limits::max_rate_bps, true};
constexpr Unit burst_unit{"bits", limits::burst_limit_bits - 1, false};

Wrong read_amount(const Json& value, const std::string& field, const Unit& unit, pods::ValueEdit& into) {
    const auto too_much = [&] {
        return wrong_value(422, field, shown(value), concat("above ", unit.most, " ", unit.name));
    };
    const auto too_little = [&](std::uint64_t amount) { return unit.is_rate && limits::is_too_slow(amount); };
    if (value.is_null()) {
        into = pods::ValueEdit(std::in_place);
        return std::nullopt;
    }
    if (value.is_number_unsigned()) {
        if (value.get<std::uint64_t>() > unit.most) return too_much();
        if (too_little(value.get<std::uint64_t>()))
            return wrong_value(422, field, shown(value), limits::too_slow(value.dump()));
        into = value.get<std::uint64_t>();
        return std::nullopt;
    }
    // The parser makes a double of an integer above 2^64 - 1.
    if (value.is_number_float() && value.get<double>() > static_cast<double>(unit.most)) return too_much();
    if (!value.is_string())
        return wrong_value(
            422, field, shown(value),
            concat("neither an integer in ", unit.name, " from 0 on, nor a quantity such as \"10M\", nor null"));
    const auto amount = limits::parse_quantity(value.get<std::string>());
    if (!amount) return wrong_value(422, field, shown(value), amount.error().what);
    if (*amount > unit.most) return too_much();
    if (too_little(*amount))
        return wrong_value(422, field, shown(value), limits::too_slow(value.get_ref<const std::string&>()));
    into = *amount;
    return std::nullopt;
}

// A member that only a GET has: it may come back, and must be what it is.
Wrong check_fact(const Json& value, const std::string& field, const Json& now) {
    if (value == now) return std::nullopt;
    const auto is = now.is_structured() ? std::string() : concat("; it is ", now.dump());
    return wrong_value(422, field, shown(value), concat("cannot be changed", is));
}

constexpr std::string_view edited_members[] = {"rate", "burst"};

bool is_edited(std::string_view key) {
    return std::find(std::begin(edited_members), std::end(edited_members), key) != std::end(edited_members);
}

Wrong read_direction(const Json& value, const std::string& name, const Json& now, pods::DirectionEdit& into) {
    if (value.is_null()) {
        into = pods::clear_edit().ingress;
        return std::nullopt;
    }
    if (!value.is_object()) return wrong_value(422, name, shown(value), "neither an object nor null");
    const auto is_fact = [&now](const std::string& key) { return !is_edited(key) && now.contains(key); };
    const auto items = value.items();
    const bool from_get =
        std::any_of(items.begin(), items.end(), [&](const auto& item) { return is_fact(item.key()); });
    for (const auto& [key, amount] : value.items()) {
        const auto field = field_of(name, key);
        if (from_get && is_edited(key) && amount == now.at(key)) continue;
        auto wrong = key == "rate"    ? read_amount(amount, field, rate_unit, into.rate_bps)
                     : key == "burst" ? read_amount(amount, field, burst_unit, into.burst_bits)
                     : is_fact(key)
                         ? check_fact(amount, field, now.at(key))
                         : Wrong(wrong_value(422, field, shown(amount), "unknown field; known are rate and burst"));
        if (wrong) return wrong;
    }
    return std::nullopt;
}

}  // namespace

std::variant<Json, Response> parse_limits_patch(std::string_view body) {
    auto parsed = parse(body);
    if (const auto* failure = std::get_if<ParseFailure>(&parsed))
        return problem(400, failure->what, failure->field.empty() ? Json::object() : Json{{"field", failure->field}});
    auto& document = std::get<Json>(parsed);
    if (!document.is_object()) return problem(400, "the body is not a JSON object");
    return std::move(document);
}

std::variant<pods::LimitsEdit, Response> read_limits_patch(const Json& patch, const Json& now) {
    pods::LimitsEdit out;
    for (const auto& [key, value] : patch.items()) {
        auto wrong = key == "ingress"    ? read_direction(value, key, now.at(key), out.ingress)
                     : key == "egress"   ? read_direction(value, key, now.at(key), out.egress)
                     : now.contains(key) ? check_fact(value, field_of({}, key), now.at(key))
                                         : Wrong(wrong_value(422, field_of({}, key), shown(value),
                                                             "unknown field; known are ingress and egress"));
        if (wrong) return *std::move(wrong);
    }
    return out;
}

std::variant<std::monostate, Response> check_patch_type(const std::string& content_type) {
    const auto type = lower_case(trimmed(std::string_view(content_type).substr(0, content_type.find(';'))));
    if (type == patch_type || type == "application/json") return std::monostate();
    auto out = wrong_value(415, "content-type", content_type, concat("a patch is ", patch_type));
    out.headers.emplace_back("Accept-Patch", patch_type);
    return out;
}

Response wrong_limits(const Error& error) {
    if (error.code != Code::invalid_argument) return problem(error);
    constexpr std::pair<std::string_view, const char*> names[] = {{"IngressRate", "ingress.rate"},
                                                                  {"IngressBurst", "ingress.burst"},
                                                                  {"EgressRate", "egress.rate"},
                                                                  {"EgressBurst", "egress.burst"}};
    for (const auto& [theirs, ours] : names)
        if (error.what.starts_with(concat(theirs, ": "))) {
            const auto detail = std::string_view(error.what).substr(theirs.size() + 2);
            // "5 bits: if burst is set, ...": the value comes first.
            const auto digits = detail.substr(0, detail.find_first_not_of("0123456789"));
            const auto value = Json::parse(digits.begin(), digits.end(), nullptr, false);
            return wrong_value(422, ours, value.is_discarded() ? Json() : value, detail);
        }
    return problem(error);
}

}  // namespace natra::api
