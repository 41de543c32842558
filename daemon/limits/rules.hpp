// SPDX-License-Identifier: Apache-2.0
// Defaults and ceilings that the node's administrator sets by namespace. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "daemon/limits/limits.hpp"

namespace natra::limits {

struct Rule {
    std::vector<std::string> namespaces;  // patterns, see matches(); empty: every pod, one without a namespace, too
    Limits limits;                        // a direction that is not limited: the rule has nothing for it
    friend bool operator==(const Rule&, const Rule&) = default;
};
// In order: the first that fits a namespace decides, alone, for both directions.
using Rules = std::vector<Rule>;

struct NodeRules {
    Rules defaults;  // of directions for which no other source has a word
    Rules ceilings;  // of rates; bursts in them have no meaning
    friend bool operator==(const NodeRules&, const NodeRules&) = default;
    [[nodiscard]] bool any() const { return !defaults.empty() || !ceilings.empty(); }
};

// A pattern is text in which "*" stands for any characters, none included, and "?" for one.
bool matches(std::string_view pattern, std::string_view text);

// Of the rule that decides; no limits if there is none.
Limits find_rule(const Rules& rules, std::string_view pod_namespace);

// What a pod of this namespace gets of what it asks for. A direction that is not limited has the default, unless its
// source is another than `none`: then that source has said "not limited". Where the rate is above the ceiling, or there
// is none, the ceiling is the rate, without a burst, and Source::ceiling the source. Heavy thresholds stay.
Limits granted(const Limits& asked, const NodeRules& rules, std::string_view pod_namespace);

}  // namespace natra::limits
