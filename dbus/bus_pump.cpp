// SPDX-License-Identifier: Apache-2.0
#include "dbus/bus_pump.hpp"

#include <systemd/sd-event.h>

#include <cstdlib>
#include <system_error>

#include "daemon/util/log.hpp"

namespace natra::dbus {

#if NATRA_SDBUS_MAJOR >= 2

BusPump::BusPump(EventLoop& core, sdbus::IConnection& bus) : bus_(bus) { bus_.attachSdEventLoop(core.raw()); }
BusPump::~BusPump() { bus_.detachSdEventLoop(); }

#else

namespace {

void check(int r, const char* what) {
    if (r < 0) throw std::system_error(-r, std::generic_category(), what);
}

}  // namespace

// 1.2 has no attachSdEventLoop: what it waits for is asked before every poll.
BusPump::BusPump(EventLoop& core, sdbus::IConnection& bus) : core_(core), bus_(bus) {
    const auto on_io = [](sd_event_source*, int, std::uint32_t, void* self) {
        static_cast<BusPump*>(self)->process();
        return 0;
    };
    const auto on_time = [](sd_event_source*, std::uint64_t, void* self) {
        static_cast<BusPump*>(self)->process();
        return 0;
    };
    const auto before_poll = [](sd_event_source*, void* self) {
        static_cast<BusPump*>(self)->arm();
        return 0;
    };
    const auto poll = bus_.getEventLoopPollData();
    check(sd_event_add_io(core.raw(), &io_, poll.fd, static_cast<std::uint32_t>(poll.events), on_io, this),
          "watch the bus");
    check(sd_event_add_time(core.raw(), &timer_, CLOCK_MONOTONIC, 0, 1, on_time, this), "bus timer");
    check(sd_event_source_set_prepare(io_, before_poll), "prepare the bus");
}

BusPump::~BusPump() {
    sd_event_source_disable_unref(io_);
    sd_event_source_disable_unref(timer_);
}

void BusPump::arm() {
    try {
        const auto poll = bus_.getEventLoopPollData();
        sd_event_source_set_io_events(io_, static_cast<std::uint32_t>(poll.events));
        const bool finite = poll.timeout_usec != UINT64_MAX;
        // 0: messages are queued already; the timer fires at once.
        if (finite) sd_event_source_set_time(timer_, poll.timeout_usec);
        sd_event_source_set_enabled(timer_, finite ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
    } catch (const sdbus::Error& e) {
        log::error(concat("bus: ", e.what()));
        core_.stop(EXIT_FAILURE);
    }
}

void BusPump::process() {
    try {
        while (bus_.processPendingRequest()) {
        }
    } catch (const sdbus::Error& e) {
        // Without a bus natrad cannot be told anything; the kernel goes on enforcing and the
        // service manager starts us again with the bus.
        log::error(concat("bus: ", e.what()));
        core_.stop(EXIT_FAILURE);
    }
}

#endif

}  // namespace natra::dbus
