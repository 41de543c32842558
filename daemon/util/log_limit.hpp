// SPDX-License-Identifier: Apache-2.0
// How many lines of one kind are logged: a loop somewhere must not push everything else out of the journal. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "daemon/util/log.hpp"

namespace natra::log {

struct Line {
    Level level = Level::info;
    const Event* event = nullptr;
    std::string text;
    Fields fields;
};

class LineLimit {
public:
    // Of one kind so many lines at once, and then one in this time.
    static constexpr unsigned at_once = 20;
    static constexpr std::uint64_t interval_us = 1'000'000;

    // Whether the line is to be written now. If not it is kept for due(), in the place of an earlier one of its kind.
    // now_us: any clock that goes on.
    bool admit(const Line& line, std::uint64_t now_us);

    struct Held {
        Line line;                   // the last of its kind
        std::uint64_t left_out = 0;  // that came before it, and are not written
    };
    // What may be written by now. To be called from time to time, or lines are late and kinds pile up.
    std::vector<Held> due(std::uint64_t now_us);
    // Number of kinds that are remembered: those with lines that are kept, or that have used some of their burst.
    [[nodiscard]] std::size_t kinds() const { return kinds_.size(); }
    // What is kept, due or not.
    std::vector<Held> all();

private:
    struct Kind {
        std::uint64_t full_at_us = 0;  // when at_once lines are free again
        std::uint64_t kept = 0;
        Line last;  // if any are kept
    };
    static bool take(Kind& kind, std::uint64_t now_us);
    std::map<std::string, Kind> kinds_;
};

}  // namespace natra::log
