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

}  // namespace natra::dbus
