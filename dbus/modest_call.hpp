// SPDX-License-Identifier: Apache-2.0
// Whether what a call carries is as small as calls of natrad's interface are. Found out without taking it apart: that
// costs microseconds and a kilobyte for each entry of a dictionary, and the bus lets 32 MiB through.
#pragma once

struct sd_bus_message;

namespace natra::dbus {

// At most 16 arguments; strings of 4 KiB; lists (a(ss)) and dictionaries (a{sv}) of 32 entries, these with values of
// basic types. Leaves the message as it was.
bool is_modest(sd_bus_message* call);

}  // namespace natra::dbus
