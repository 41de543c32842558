// SPDX-License-Identifier: Apache-2.0
#include "daemon/util/log.hpp"

#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

namespace natra::log {
namespace {

Level threshold = Level::info;

// systemd sets JOURNAL_STREAM when stderr goes to the journal; a terminal wants no prefix.
bool to_journal() {
    static const bool journal = std::getenv("JOURNAL_STREAM") != nullptr;
    return journal;
}

}  // namespace

void set_level(Level level) { threshold = level; }

void write(Level level, std::string_view text) noexcept {
    if (level > threshold) return;
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
