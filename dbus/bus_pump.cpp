// SPDX-License-Identifier: Apache-2.0
#include "dbus/bus_pump.hpp"

#include <systemd/sd-event.h>

#include <chrono>
#include <cstdlib>
#include <system_error>

#include "daemon/util/log.hpp"

namespace natra::dbus {
namespace {

using Clock = std::chrono::steady_clock;

// Of one turn of the loop: then whatever else is due comes first.
constexpr int most_messages = 32;
constexpr std::chrono::milliseconds most_time{5};
constexpr std::chrono::seconds longest_unsent{5};

void check(int r, const char* what) {
    if (r < 0) throw std::system_error(-r, std::generic_category(), what);
}

}  // namespace

// What the bus waits for is asked before every poll.
BusPump::BusPump(EventLoop& core, sdbus::IConnection& bus, sd_bus* raw, Gate& gate)
    : core_(core), bus_(bus), raw_(raw), gate_(gate) {
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
    const int fd = sd_bus_get_fd(raw_);
    check(fd, "bus");
    check(sd_event_add_io(core.raw(), &io_, fd, 0, on_io, this), "watch the bus");
    check(sd_event_add_time(core.raw(), &timer_, CLOCK_MONOTONIC, 0, 1, on_time, this), "bus timer");
    check(sd_event_source_set_prepare(io_, before_poll), "prepare the bus");
}

BusPump::~BusPump() {
    sd_event_source_disable_unref(io_);
    sd_event_source_disable_unref(timer_);
}

void BusPump::arm() {
    std::uint64_t due_usec = UINT64_MAX;
    if (is_stuck()) return lost("it takes nothing from natrad any more");
    const int events = sd_bus_get_events(raw_);
    const int r = events < 0 ? events : sd_bus_get_timeout(raw_, &due_usec);
    if (r < 0) return lost(std::generic_category().message(-r));
    sd_event_source_set_io_events(io_, static_cast<std::uint32_t>(events));
    const bool finite = due_usec != UINT64_MAX;
    // 0: messages are queued already; the timer fires at once.
    if (finite) sd_event_source_set_time(timer_, due_usec);
    sd_event_source_set_enabled(timer_, finite ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

// A client that does not read what natrad answers fills natrad's share of the bus' memory, and then the bus reads no
// more from this connection. Another one has a share of its own.
bool BusPump::is_stuck() {
    std::uint64_t unsent = 0;
    if (sd_bus_get_n_queued_write(raw_, &unsent) < 0 || unsent == 0) {
        unsent_since_.reset();
        return false;
    }
    const auto now = Clock::now();
    if (!unsent_since_) unsent_since_ = now;
    return now - *unsent_since_ > longest_unsent;
}

void BusPump::process() {
    const auto until = Clock::now() + most_time;
    try {
        for (int i = 0; i < most_messages && Clock::now() < until; ++i)
            if (!gate_.charge([this] { return compat::process(bus_); })) return;
    } catch (const sdbus::Error& e) {
        lost(e.what());
    }
}

// Without a bus natrad cannot be told anything; the kernel goes on enforcing and the service manager starts us again
// with the bus.
void BusPump::lost(const std::string& why) {
    log::error(concat("bus: ", why));
    core_.stop(EXIT_FAILURE);
}

}  // namespace natra::dbus
