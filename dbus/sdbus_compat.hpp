// SPDX-License-Identifier: Apache-2.0
// The few differences between sdbus-c++ 2.x, which this tree is written for, and
// 1.2, which Debian 12 has. NATRA_SDBUS_MAJOR comes from the build.
#pragma once

#include <sdbus-c++/sdbus-c++.h>
#include <systemd/sd-bus.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace natra::dbus::compat {

// Neither version tells of a message's flags, but both leave sd-bus' message to classes derived from theirs.
class RawMessage : public sdbus::Message {
public:
    static sd_bus_message* of(const sdbus::Message& message) {
        return static_cast<sd_bus_message*>(message.*(&RawMessage::msg_));
    }
};

#if NATRA_SDBUS_MAJOR >= 2

inline sdbus::MethodCall peer_call(sdbus::IProxy& proxy) {
    return proxy.createMethodCall(sdbus::InterfaceName("org.freedesktop.DBus.Peer"), sdbus::MethodName("Ping"));
}
inline sdbus::Error error(const std::string& name, std::string message) {
    return sdbus::Error(sdbus::Error::Name(name), std::move(message));
}
inline void request_name(sdbus::IConnection& bus, const std::string& name) {
    bus.requestName(sdbus::ServiceName(name));
}
inline sdbus::ObjectPath path(const std::string& text) { return sdbus::ObjectPath(text); }
// The message that the object is answering; for as long as it does.
inline sd_bus_message* current(sdbus::IObject& object) { return RawMessage::of(object.getCurrentlyProcessedMessage()); }
inline bool process(sdbus::IConnection& bus) { return bus.processPendingEvent(); }
inline std::unique_ptr<sdbus::IProxy> proxy(sdbus::IConnection& bus, const char* name, const char* path) {
    return sdbus::createProxy(bus, sdbus::ServiceName(name), sdbus::ObjectPath(path));
}
// Of an asynchronous call; empty if it succeeded.
using AsyncError = std::optional<sdbus::Error>;

// Which properties of which interface changed.
inline void properties_changed(sdbus::IObject& object, const char* interface, const std::vector<std::string>& names) {
    object.emitPropertiesChangedSignal(sdbus::InterfaceName(interface),
                                       std::vector<sdbus::PropertyName>(names.begin(), names.end()));
}

#else

inline sdbus::MethodCall peer_call(sdbus::IProxy& proxy) {
    return proxy.createMethodCall("org.freedesktop.DBus.Peer", "Ping");
}
inline sdbus::Error error(const std::string& name, const std::string& message) { return {name, message}; }
inline void request_name(sdbus::IConnection& bus, const std::string& name) { bus.requestName(name); }
inline sdbus::ObjectPath path(const std::string& text) { return sdbus::ObjectPath(text); }
inline sd_bus_message* current(sdbus::IObject& object) {
    return RawMessage::of(*object.getCurrentlyProcessedMessage());
}
inline bool process(sdbus::IConnection& bus) { return bus.processPendingRequest(); }
inline std::unique_ptr<sdbus::IProxy> proxy(sdbus::IConnection& bus, const char* name, const char* path) {
    return sdbus::createProxy(bus, name, path);
}
using AsyncError = const sdbus::Error*;

inline void properties_changed(sdbus::IObject& object, const char* interface, const std::vector<std::string>& names) {
    object.emitPropertiesChangedSignal(interface, names);
}

#endif

// sd-bus' own handle, which neither version gives away: any message has it, sent or not.
inline sd_bus* raw(sdbus::IConnection& bus) {
    const auto bus_itself = proxy(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus");
    return sd_bus_message_get_bus(RawMessage::of(peer_call(*bus_itself)));
}

}  // namespace natra::dbus::compat
