// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "daemon/util/event_loop.hpp"
#include "dbus/sdbus_compat.hpp"

struct sd_event_source;

namespace natra::dbus {

// Runs a bus connection on the core thread, inside its sd-event loop: handlers
// and property getters then read the registry without locks, and no second
// thread exists that could wait for the first one while holding the bus.
class BusPump {
public:
    BusPump(EventLoop& core, sdbus::IConnection& bus);  // throws std::system_error
    ~BusPump();
    BusPump(const BusPump&) = delete;
    BusPump& operator=(const BusPump&) = delete;

private:
#if NATRA_SDBUS_MAJOR < 2
    void arm();
    void process();

    sd_event_source* io_ = nullptr;
    sd_event_source* timer_ = nullptr;
    EventLoop& core_;
#endif
    sdbus::IConnection& bus_;
};

}  // namespace natra::dbus
