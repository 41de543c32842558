// SPDX-License-Identifier: Apache-2.0
// Lets calls in as far as their users have time left on the core thread: nobody but root and natra's group can keep it
// busy. The rest is answered org.freedesktop.DBus.Error.LimitsExceeded before anything is done for it.
#pragma once

#include <functional>
#include <map>
#include <optional>

#include "dbus/call_budget.hpp"
#include "dbus/callers.hpp"

struct sd_bus;
struct sd_bus_slot;

namespace natra::dbus {

class Gate {
public:
    Gate(sd_bus* bus, Callers& callers);  // throws std::system_error
    ~Gate();
    Gate(const Gate&) = delete;
    Gate& operator=(const Gate&) = delete;

    // Runs what processes one message, and charges the time that it takes to the message's sender.
    bool charge(const std::function<bool()>& process_one);

private:
    // Of the message that is processed; true: it is answered.
    bool refuses(sd_bus_message* message);
    void refuse(sd_bus_message* message, uid_t user, const char* why);

    Callers& callers_;
    CallBudget budget_;
    std::optional<uid_t> caller_;  // of the call that was looked at
    CallBudget::Clock::time_point answers_since_;
    std::map<uid_t, unsigned> answers_;  // that say no, since then
    sd_bus_slot* filter_ = nullptr;
};

}  // namespace natra::dbus
