// SPDX-License-Identifier: Apache-2.0
#include "dbus/gate.hpp"

#include <systemd/sd-bus.h>

#include <exception>
#include <system_error>

#include "daemon/util/error.hpp"
#include "daemon/util/log.hpp"
#include "dbus/modest_call.hpp"

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
            sd_bus_reply_method_errorf(message, SD_BUS_ERROR_FAILED, "natrad could not look at the call");
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
    if (!caller) {
        // Nobody is there any more, mostly; but a plugin that waits is told, and leaves its request in the spool.
        sd_bus_reply_method_errorf(message, SD_BUS_ERROR_FAILED, "the bus does not say whose call this is");
        return true;
    }
    if (caller->trusted) return false;
    const auto now = CallBudget::Clock::now();
    if (!budget_.admits(caller->user, now)) {
        refuse(message, caller->user, "takes too much of natrad's time; members of natra's group may take more");
        return true;
    }
    caller_ = caller->user;
    if (is_modest(message)) return false;
    refuse(message, caller->user, "sends more than any call of natrad's takes");
    return true;
}

// Nothing is sent to a caller that expects nothing, and little to one that may not read it: what it leaves on the bus
// counts as natrad's there.
void Gate::refuse(sd_bus_message* message, uid_t user, const char* why) {
    constexpr auto second = std::chrono::seconds(1);
    constexpr unsigned most_answers = 100;
    if (sd_bus_message_get_expect_reply(message) <= 0) return;
    const auto now = CallBudget::Clock::now();
    if (now >= answers_since_ + second) {
        answers_since_ = now;
        answers_.clear();
    }
    if (++answers_[user] > most_answers) return;
    sd_bus_reply_method_errorf(message, SD_BUS_ERROR_LIMITS_EXCEEDED, "user %u %s", static_cast<unsigned>(user), why);
}

}  // namespace natra::dbus
