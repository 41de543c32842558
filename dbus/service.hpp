// SPDX-License-Identifier: Apache-2.0
// natrad on the bus: the Manager object, and one object per attachment.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "daemon/pods/registry.hpp"
#include "dbus/bus_pump.hpp"

namespace natra::dbus {

inline constexpr const char* bus_name = "io.natra.Natrad1";
inline constexpr const char* root_path = "/io/natra/Natrad1";

class AttachmentObject;
class ManagerObject;

// Core thread only.
class Service final : public pods::Observer {
public:
    // Connects to the system bus (DBUS_SYSTEM_BUS_ADDRESS overrides its address). Throws sdbus::Error.
    Service(EventLoop& core, pods::Registry& registry, const datapath::Engine& engine);
    ~Service() override;

    // Takes the well-known name: from now on callers are answered. Throws sdbus::Error.
    void publish();

    void pod_added(const pods::Pod& pod) override;
    void pod_changed(const pods::Pod& pod) override;
    void pod_removed(const std::string& id) override;

private:
    std::unique_ptr<sdbus::IConnection> bus_;
    BusPump pump_;
    pods::Registry& registry_;
    std::unique_ptr<ManagerObject> manager_;
    std::map<std::string, std::unique_ptr<AttachmentObject>> attachments_;
};

}  // namespace natra::dbus
