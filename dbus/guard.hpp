// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>

#include "dbus/values.hpp"

namespace natra::dbus {

// Runs a handler's body. sdbus-c++ 1.2 ends the process when anything but an
// sdbus::Error leaves a handler.
template <class Body> auto guarded(Body body) -> decltype(body()) {
    try {
        return body();
    } catch (const sdbus::Error&) {
        throw;
    } catch (const std::exception& e) {
        throw to_bus_error({Error::Code::internal, 0, e.what()});
    }
}

// Changing limits is root's business; the bus policy says so too, but a private bus has none.
inline void require_root(sdbus::IObject& object, const char* method) {
    const auto euid = compat::sender_euid(object);
    if (euid != 0)
        throw compat::error("io.natra.Error.AccessDenied", concat(method, ": user ", euid, " may not change limits"));
}

}  // namespace natra::dbus
