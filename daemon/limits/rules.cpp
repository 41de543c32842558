// SPDX-License-Identifier: Apache-2.0
#include "daemon/limits/rules.hpp"

#include <algorithm>

namespace natra::limits {
namespace {

bool fits(const Rule& rule, std::string_view pod_namespace) {
    return rule.namespaces.empty() ||
           std::any_of(rule.namespaces.begin(), rule.namespaces.end(),
                       [&](const std::string& pattern) { return matches(pattern, pod_namespace); });
}

Limit granted_direction(const Limit& asked, const Limit& by_default, const Limit& ceiling) {
    Limit out = asked;
    if (!asked.limited() && asked.source == Source::none && by_default.limited()) {
        out.rate_bps = by_default.rate_bps;
        out.burst_bits = by_default.burst_bits;
        out.source = Source::node_default;
    }
    if (ceiling.limited() && (!out.limited() || out.rate_bps > ceiling.rate_bps)) {
        out.rate_bps = ceiling.rate_bps;
        out.burst_bits = 0;  // it was meant for another rate
        out.source = Source::ceiling;
    }
    return out;
}

}  // namespace

bool matches(std::string_view pattern, std::string_view text) {
    std::size_t at = 0;                         // in the pattern
    std::size_t star = std::string_view::npos;  // the last "*" met
    std::size_t behind_star = 0;                // in the text: what follows the characters that it stands for
    for (std::size_t i = 0; i < text.size();) {
        if (at < pattern.size() && pattern[at] == '*') {
            star = at++;
            behind_star = i;
        } else if (at < pattern.size() && (pattern[at] == '?' || pattern[at] == text[i])) {
            ++at;
            ++i;
        } else if (star != std::string_view::npos) {
            at = star + 1;
            i = ++behind_star;
        } else {
            return false;
        }
    }
    return pattern.find_first_not_of('*', at) == std::string_view::npos;
}

Limits find_rule(const Rules& rules, std::string_view pod_namespace) {
    const auto found =
        std::find_if(rules.begin(), rules.end(), [&](const Rule& rule) { return fits(rule, pod_namespace); });
    return found == rules.end() ? Limits() : found->limits;
}

Limits granted(const Limits& asked, const NodeRules& rules, std::string_view pod_namespace) {
    const auto defaults = find_rule(rules.defaults, pod_namespace);
    const auto ceilings = find_rule(rules.ceilings, pod_namespace);
    return {.ingress = granted_direction(asked.ingress, defaults.ingress, ceilings.ingress),
            .egress = granted_direction(asked.egress, defaults.egress, ceilings.egress)};
}

}  // namespace natra::limits
