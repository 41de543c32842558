// SPDX-License-Identifier: Apache-2.0
#include "daemon/util/log.hpp"

#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <string>

namespace natra::log {
namespace {

std::atomic<Level> threshold{Level::info};

struct Name {
    std::string_view text;
    Level level;
};
constexpr std::array<Name, 5> names = {{{"error", Level::error},
                                        {"warning", Level::warning},
                                        {"notice", Level::notice},
                                        {"info", Level::info},
                                        {"debug", Level::debug}}};

// systemd sets JOURNAL_STREAM when stderr goes to the journal; a terminal wants no prefix.
bool to_journal() {
    static const bool journal = std::getenv("JOURNAL_STREAM") != nullptr;
    return journal;
}

}  // namespace

std::string_view to_string(Level level) {
    for (const auto& name : names)
        if (name.level == level) return name.text;
    return "unknown";
}

std::optional<Level> level_from(std::string_view name) {
    for (const auto& known : names)
        if (known.text == name) return known.level;
    return std::nullopt;
}

void set_level(Level level) { threshold.store(level, std::memory_order_relaxed); }

void write(Level level, std::string_view text) noexcept {
    if (level > threshold.load(std::memory_order_relaxed)) return;
    try {
        std::string line;
        if (to_journal()) line += '<' + std::to_string(static_cast<int>(level)) + '>';
        // One line per event, whatever a name from outside contains.
        for (const char c : text) line += c == '\n' ? ' ' : c;
        line += '\n';
        // One write: lines of different threads do not mix.
        if (::write(STDERR_FILENO, line.data(), line.size()) < 0) return;
    } catch (...) {
        return;  // out of memory while logging: the caller's work matters more
    }
}

}  // namespace natra::log
