// SPDX-License-Identifier: Apache-2.0
#include "daemon/util/log.hpp"

#include <sys/stat.h>
#include <sys/uio.h>
#define SD_JOURNAL_SUPPRESS_LOCATION  // it would be this file's for all
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <mutex>

#include "daemon/util/clock.hpp"
#include "daemon/util/error.hpp"
#include "daemon/util/log_limit.hpp"

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

// systemd sets JOURNAL_STREAM to "device:inode" of what it connected; stderr may have been redirected since.
bool to_journal() {
    static const bool journal = [] {
        const char* stream = std::getenv("JOURNAL_STREAM");
        struct stat info {};
        if (stream == nullptr || ::fstat(STDERR_FILENO, &info) != 0) return false;
        return concat(info.st_dev, ":", info.st_ino) == stream;
    }();
    return journal;
}

// One line per event, and no command to a terminal, whatever a name from outside contains.
std::string one_line(std::string_view text) {
    std::string line(text);
    std::replace(line.begin(), line.end(), '\n', ' ');
    std::replace_if(
        line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }, '?');
    return line;
}

void to_stderr(std::string line) {
    line += '\n';
    // One write: lines of different threads do not mix.
    if (::write(STDERR_FILENO, line.data(), line.size()) < 0) return;
}

bool send(const std::vector<std::string>& fields) {
    std::vector<iovec> parts;
    parts.reserve(fields.size());
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): sd_journal_sendv() only reads
    for (const auto& field : fields) parts.push_back({const_cast<char*>(field.data()), field.size()});
    return sd_journal_sendv(parts.data(), static_cast<int>(parts.size())) >= 0;
}

void write_any(Level level, const Event* event, std::string_view text, const Fields& fields) {
    auto line = one_line(text);
    if (to_journal()) {
        const auto priority = std::to_string(static_cast<int>(level));
        std::vector<std::string> entry{concat("MESSAGE=", line), concat("PRIORITY=", priority),
                                       "SYSLOG_IDENTIFIER=natrad"};
        if (event != nullptr) entry.push_back(concat("MESSAGE_ID=", event->message_id));
        for (const auto& [name, value] : fields)
            if (!value.empty()) entry.push_back(concat(name, "=", value));
        if (send(entry)) return;
        // journald reads the priority from the prefix.
        line.insert(0, concat("<", priority, ">"));
    }
    to_stderr(std::move(line));
}

std::mutex mutex;
LineLimit limit;  // guarded by mutex

void write_limited(Level level, const Event* event, std::string_view text, const Fields& fields) noexcept {
    if (level > threshold.load(std::memory_order_relaxed)) return;
    try {
        // Who asks for details gets all of them.
        if (level == Level::debug) return write_any(level, event, text, fields);
        {
            const std::lock_guard lock(mutex);
            if (!limit.admit({.level = level, .event = event, .text = std::string(text), .fields = fields},
                             monotonic_us()))
                return;
        }
        write_any(level, event, text, fields);
    } catch (...) {
        return;  // out of memory while logging: the caller's work matters more
    }
}

template <class Take> void flush(Take take) noexcept {
    try {
        std::vector<LineLimit::Held> held;
        {
            const std::lock_guard lock(mutex);
            held = take(limit);
        }
        for (auto& [line, left_out] : held) {
            if (left_out != 0) {
                line.text += concat(" (", left_out, " lines like this one before it were left out)");
                line.fields.emplace_back("NATRA_LEFT_OUT", std::to_string(left_out));
            }
            write_any(line.level, line.event, line.text, line.fields);
        }
    } catch (...) {
        return;  // as above
    }
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

void write(Level level, std::string_view text) noexcept { write_limited(level, nullptr, text, {}); }

void write(Level level, const Event& event, std::string_view text, const Fields& fields) noexcept {
    write_limited(level, &event, text, fields);
}

void flush_due() noexcept {
    flush([](LineLimit& limit) { return limit.due(monotonic_us()); });
}

void flush_all() noexcept {
    flush([](LineLimit& limit) { return limit.all(); });
}

}  // namespace natra::log
