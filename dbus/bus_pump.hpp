// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "daemon/util/event_loop.hpp"
#include "dbus/gate.hpp"
#include "dbus/sdbus_compat.hpp"

struct sd_event_source;

namespace natra::dbus {

// Runs a bus connection on the core thread, inside its sd-event loop: handlers
// and property getters then read the registry without locks, and no second
// thread exists that could wait for the first one while holding the bus. A few
// messages at a time: callers must not hold up the rest of what the loop does.
class BusPump {
public:
    // raw: sd-bus' own handle of `bus`. Throws std::system_error.
    BusPump(EventLoop& core, sdbus::IConnection& bus, sd_bus* raw, Gate& gate);
    ~BusPump();
    BusPump(const BusPump&) = delete;
    BusPump& operator=(const BusPump&) = delete;

private:
    void arm();
    bool is_stuck();
    void process();
    void lost(const std::string& why);

    sd_event_source* io_ = nullptr;
    sd_event_source* timer_ = nullptr;
    EventLoop& core_;
    sdbus::IConnection& bus_;
    sd_bus* const raw_;
    Gate& gate_;
    std::optional<std::chrono::steady_clock::time_point> unsent_since_;
};

}  // namespace natra::dbus
