// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/limit_rules.hpp"

#include <optional>

#include "daemon/config/wrong_value.hpp"
#include "daemon/limits/floor.hpp"
#include "daemon/limits/quantity.hpp"

namespace natra::config {
namespace {

using Code = Error::Code;

struct AmountRange {
    std::uint64_t least, most;
    const char* unit;
    bool rate;
};
constexpr AmountRange rates{limits::min_set_rate_bps, limits::max_rate_bps, "bit/s", true};
constexpr AmountRange bursts{8, limits::burst_limit_bits - 1, "bits", false};

Error at(std::string_view where, const Error& why) { return fail(why.code, where, ": ", why.what); }

Error unknown_key(std::string_view where, std::string_view key, std::string_view known) {
    return fail(Code::invalid_argument, where, ".", key, ": unknown key; known are ", known);
}

Result<void> read_amount(const Json& value, const AmountRange& range, std::uint64_t& into) {
    std::optional<std::uint64_t> amount;
    if (value.is_number_unsigned()) amount = value.get<std::uint64_t>();
    if (value.is_string())
        if (const auto parsed = limits::parse_quantity(value.get<std::string>())) amount = *parsed;
    if (amount && range.rate && limits::is_too_slow(*amount))
        return fail(Code::invalid_argument, shown(value), ": ",
                    limits::too_slow(value.is_string() ? value.get<std::string>() : value.dump()));
    if (!amount || *amount < range.least || *amount > range.most)
        return wrong(value, concat("an amount from ", range.least, " to ", range.most, " ", range.unit,
                                   ", as an integer or as a quantity such as \"10M\""));
    into = *amount;
    return {};
}

Result<void> read_direction(const Json& value, const std::string& where, RuleKind kind, limits::Limit& into) {
    if (!value.is_object()) return at(where, wrong(value, "an object with a rate"));
    for (const auto& [key, amount] : value.items()) {
        const bool rate = key == "rate";
        if (!rate && key == "burst" && kind == RuleKind::ceilings)
            return fail(Code::invalid_argument, where, ".burst: a ceiling has a rate only");
        if (!rate && key != "burst")
            return unknown_key(where, key, kind == RuleKind::defaults ? "rate, burst" : "rate");
        auto r = rate ? read_amount(amount, rates, into.rate_bps) : read_amount(amount, bursts, into.burst_bits);
        if (!r) return at(concat(where, ".", key), r.error());
    }
    if (!into.limited()) return fail(Code::invalid_argument, where, ": has no rate");
    return {};
}

// What a name of a namespace may have, and the two wildcards.
bool is_pattern(const Json& value) {
    constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyz0123456789-*?";
    return value.is_string() && !value.get<std::string>().empty() &&
           value.get<std::string>().find_first_not_of(allowed) == std::string::npos;
}

Result<void> read_namespaces(const Json& value, const std::string& where, std::vector<std::string>& into) {
    constexpr std::string_view allowed = "a name of a namespace in which * and ? may stand for characters";
    if (!value.is_array() || value.empty()) return at(where, wrong(value, "a list of at least one pattern"));
    for (std::size_t i = 0; i < value.size(); ++i) {
        if (!is_pattern(value[i])) return at(concat(where, "[", i, "]"), wrong(value[i], allowed));
        into.push_back(value[i].get<std::string>());
    }
    return {};
}

Result<void> read_rule(const Json& value, const std::string& where, RuleKind kind, limits::Rule& into) {
    if (!value.is_object()) return at(where, wrong(value, "an object"));
    for (const auto& [key, member] : value.items()) {
        const auto path = concat(where, ".", key);
        auto r = key == "namespaces" ? read_namespaces(member, path, into.namespaces)
                 : key == "ingress"  ? read_direction(member, path, kind, into.limits.ingress)
                 : key == "egress"   ? read_direction(member, path, kind, into.limits.egress)
                                     : unknown_key(where, key, "namespaces, ingress, egress");
        if (!r) return r;
    }
    return {};
}

Json show_limit(const limits::Limit& limit) {
    Json out = {{"rate", limit.rate_bps}};
    if (limit.burst_bits != 0) out["burst"] = limit.burst_bits;
    return out;
}

}  // namespace

Result<void> read_rules(const Json& value, RuleKind kind, limits::Rules& into) {
    if (!value.is_array()) return wrong(value, "a list of rules");
    limits::Rules rules(value.size());
    for (std::size_t i = 0; i < rules.size(); ++i)
        if (auto r = read_rule(value[i], concat("[", i, "]"), kind, rules[i]); !r) return r;
    into = std::move(rules);
    return {};
}

Json show_rules(const limits::Rules& rules) {
    auto out = Json::array();
    for (const auto& rule : rules) {
        auto shown_rule = Json::object();
        if (!rule.namespaces.empty()) shown_rule["namespaces"] = rule.namespaces;
        if (rule.limits.ingress.limited()) shown_rule["ingress"] = show_limit(rule.limits.ingress);
        if (rule.limits.egress.limited()) shown_rule["egress"] = show_limit(rule.limits.egress);
        out.push_back(std::move(shown_rule));
    }
    return out;
}

}  // namespace natra::config
