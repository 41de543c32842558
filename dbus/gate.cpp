// SPDX-License-Identifier: Apache-2.0
#include "dbus/gate.hpp"

#include <systemd/sd-bus.h>

#include <exception>
#include <system_error>

#include "daemon/util/error.hpp"
#include "daemon/util/log.hpp"

namespace natra::dbus {
namespace {

// What a call costs besides: the answer of polkit, what the bus takes off the processor.
constexpr std::chrono::microseconds overhead{50};

}  // namespace

Gate::Gate(sd_bus* bus, Callers& callers) : callers_(callers) {
    const auto filter = [](sd_bus_message* message, void* self, sd_bus_error*) {
        try {
            return static_cast<Gate*>(self)->refuses(message) ? 1 : 0;
        } catch (const std::exception& e) {
            log::error(concat("bus: ", e.what()));
            return 1;
        }
    };
    if (const int r = sd_bus_add_filter(bus, &filter_, filter, this); r < 0)
        throw std::system_error(-r, std::generic_category(), "filter the bus");
}

Gate::~Gate() { sd_bus_slot_unref(filter_); }

bool Gate::charge(const std::function<bool()>& process_one) {
    caller_.reset();
    const auto began = CallBudget::Clock::now();
    const bool any = process_one();
    if (!caller_) return any;
    const auto now = CallBudget::Clock::now();
    budget_.charge(*caller_, now - began + overhead, now);
    return any;
}

bool Gate::refuses(sd_bus_message* message) {
    if (sd_bus_message_is_method_call(message, nullptr, nullptr) <= 0) return false;
    const auto caller = callers_.of(message);
    if (!caller) return true;  // nobody is there who could be answered
    if (caller->trusted) return false;
    if (budget_.admits(caller->user, CallBudget::Clock::now())) {
        caller_ = caller->user;
        return false;
    }
    // Nothing is sent to a caller that expects nothing.
    sd_bus_reply_method_errorf(message, "org.freedesktop.DBus.Error.LimitsExceeded",
                               "user %u takes too much of natrad's time; members of natra's group may take more",
                               static_cast<unsigned>(caller->user));
    return true;
}

}  // namespace natra::dbus
