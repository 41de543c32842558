// SPDX-License-Identifier: Apache-2.0
// natrad on the bus: the Manager object, and one object per attachment.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/pods/registry.hpp"
#include "dbus/authority.hpp"
#include "dbus/bus_pump.hpp"

namespace natra::dbus {

inline constexpr const char* bus_name = "io.natra.Natrad1";
inline constexpr const char* root_path = "/io/natra/Natrad1";

using Troubles = std::function<std::vector<std::string>()>;

class AttachmentObject;
class ManagerObject;

// Core thread only.
class Service final : public pods::Observer {
public:
    // Connects to the system bus (DBUS_SYSTEM_BUS_ADDRESS overrides its address). Throws sdbus::Error.
    // group: whose members may take more of natrad's time than other users; see Gate.
    // troubles: sentences for Degraded from parts that this one does not know.
    Service(EventLoop& core, pods::Registry& registry, const datapath::Engine& engine, const std::string& group,
            Troubles troubles);
    ~Service() override;

    // Takes the well-known name: from now on callers are answered. Throws sdbus::Error.
    void publish();

    // Tells on the bus if Degraded is another one than at the last call. From time to time.
    void look_for_degradation();

    void pod_added(const pods::Pod& pod) override;
    void pod_changed(const pods::Pod& pod) override;
    void pod_removed(const std::string& id) override;

private:
    std::unique_ptr<sdbus::IConnection> bus_;
    Callers callers_;
    Gate gate_;
    BusPump pump_;
    Authority authority_;
    pods::Registry& registry_;
    std::unique_ptr<ManagerObject> manager_;
    std::map<std::string, std::unique_ptr<AttachmentObject>> attachments_;
};

}  // namespace natra::dbus
