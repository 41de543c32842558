// SPDX-License-Identifier: Apache-2.0
// One line per decision, to stderr; journald reads the "<N>" priority prefix.
#pragma once

#include <optional>
#include <string_view>

namespace natra::log {

enum class Level : int { error = 3, warning = 4, notice = 5, info = 6, debug = 7 };

std::string_view to_string(Level level);                 // "error", "warning", ...
std::optional<Level> level_from(std::string_view name);  // the inverse

// Any thread. Lines above this level are dropped. Default: info.
void set_level(Level level);
// Thread-safe; never throws.
void write(Level level, std::string_view text) noexcept;

inline void error(std::string_view text) noexcept { write(Level::error, text); }
inline void warning(std::string_view text) noexcept { write(Level::warning, text); }
inline void info(std::string_view text) noexcept { write(Level::info, text); }
inline void debug(std::string_view text) noexcept { write(Level::debug, text); }

}  // namespace natra::log
