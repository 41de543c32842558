// SPDX-License-Identifier: Apache-2.0
// One line per decision: to the journal, with fields, where stderr goes there; to stderr otherwise.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/util/log_events.hpp"

namespace natra::log {

enum class Level : int { error = 3, warning = 4, notice = 5, info = 6, debug = 7 };

std::string_view to_string(Level level);                 // "error", "warning", ...
std::optional<Level> level_from(std::string_view name);  // the inverse

// Journal fields, "NATRA_POD" -> "web-0". Empty values are left out.
using Fields = std::vector<std::pair<std::string, std::string>>;

// Any thread. Lines above this level are dropped. Default: info.
void set_level(Level level);
// Thread-safe; never throws.
void write(Level level, std::string_view text) noexcept;
// A decision of a known kind. Fields reach the journal only.
void write(Level level, const Event& event, std::string_view text, const Fields& fields = {}) noexcept;

// Of lines of one kind at most twenty at once and one a second are written: of those about one attachment (or file) for
// the same event, or with the same text where there is no event or where it is about neither. The last of those that
// were left out follows, with their number; flush_due() writes it when it may be, flush_all() at once. Debugging lines
// are not limited.
void flush_due() noexcept;
void flush_all() noexcept;

// flush_all() when its scope is left, be it by an exception.
class FlushAtEnd {
public:
    FlushAtEnd() = default;
    ~FlushAtEnd() { flush_all(); }
    FlushAtEnd(const FlushAtEnd&) = delete;
    FlushAtEnd& operator=(const FlushAtEnd&) = delete;
};

inline void error(std::string_view text) noexcept { write(Level::error, text); }
inline void warning(std::string_view text) noexcept { write(Level::warning, text); }
inline void info(std::string_view text) noexcept { write(Level::info, text); }
inline void debug(std::string_view text) noexcept { write(Level::debug, text); }

}  // namespace natra::log
