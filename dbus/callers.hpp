// SPDX-License-Identifier: Apache-2.0
// Who is behind a connection to the bus. The bus is asked once for each: it never gives the same unique name again.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>

struct sd_bus_message;

namespace natra::dbus {

struct Caller {
    uid_t user = 0;
    bool trusted = false;  // root, or a member of natra's group
};

class Callers {
public:
    // group: whose members are trusted as root is, not to be too many; may be empty or unknown here.
    explicit Callers(const std::string& group);

    // The sender of a message; nothing if it has left the bus. Waits for the bus the first time.
    std::optional<Caller> of(sd_bus_message* message);

private:
    [[nodiscard]] std::optional<Caller> ask(sd_bus_message* message, const char* name) const;

    const std::optional<gid_t> group_;
    std::map<std::string, Caller> known_;
};

}  // namespace natra::dbus
