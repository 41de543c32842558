// SPDX-License-Identifier: Apache-2.0
#include "daemon/util/log_limit.hpp"

#include <algorithm>

#include "daemon/util/error.hpp"
#include "daemon/util/log_events.hpp"

namespace natra::log {
namespace {

// Lines of one decision about one thing are of a kind, whatever they say; others where they say the same.
std::string kind_of(const Line& line) {
    if (line.event == nullptr) return line.text;
    std::string things;
    for (const auto& [name, value] : line.fields)
        if ((name == "NATRA_ATTACHMENT" || name == "NATRA_FILE") && !value.empty())
            things += concat(" ", name, "=", value);
    return concat(line.event->message_id, things.empty() ? concat(" ", line.text) : things);
}

}  // namespace

bool LineLimit::take(Kind& kind, std::uint64_t now_us) {
    const auto full_at_us = std::max(kind.full_at_us, now_us) + interval_us;
    if (full_at_us > now_us + at_once * interval_us) return false;
    kind.full_at_us = full_at_us;
    return true;
}

bool LineLimit::admit(const Line& line, std::uint64_t now_us) {
    auto& kind = kinds_[kind_of(line)];
    // Not before those that are kept.
    if (kind.kept == 0 && take(kind, now_us)) return true;
    ++kind.kept;
    kind.last = line;
    return false;
}

std::vector<LineLimit::Held> LineLimit::due(std::uint64_t now_us) {
    std::vector<Held> out;
    for (auto& [name, kind] : kinds_) {
        if (kind.kept == 0 || !take(kind, now_us)) continue;
        out.push_back({.line = std::move(kind.last), .left_out = kind.kept - 1});
        kind.kept = 0;
    }
    std::erase_if(kinds_, [&](const auto& each) { return each.second.kept == 0 && each.second.full_at_us <= now_us; });
    return out;
}

std::vector<LineLimit::Held> LineLimit::all() {
    std::vector<Held> out;
    for (auto& [name, kind] : kinds_)
        if (kind.kept != 0) out.push_back({.line = std::move(kind.last), .left_out = kind.kept - 1});
    kinds_.clear();
    return out;
}

}  // namespace natra::log
