// SPDX-License-Identifier: Apache-2.0
#include "dbus/service.hpp"

#include "daemon/util/log.hpp"
#include "dbus/objects.hpp"

namespace natra::dbus {
namespace {

// A signal or object that the bus refuses must not undo the change that it tells of.
template <class Body> void tolerate(const std::string& id, Body body) {
    try {
        body();
    } catch (const sdbus::Error& e) {
        log::error(concat("bus: ", id, ": ", e.what()));
    }
}

}  // namespace

Service::Service(EventLoop& core, pods::Registry& registry, const datapath::Engine& engine, const std::string& group,
                 Troubles troubles)
    : bus_(sdbus::createSystemBusConnection()), callers_(group), gate_(compat::raw(*bus_), callers_),
      pump_(core, *bus_, compat::raw(*bus_), gate_), authority_(*bus_, callers_), registry_(registry),
      manager_(std::make_unique<ManagerObject>(*bus_, registry, engine, authority_, std::move(troubles))) {
    registry_.set_observer(this);
}

Service::~Service() { registry_.set_observer(nullptr); }

void Service::publish() { compat::request_name(*bus_, bus_name); }

void Service::look_for_degradation() {
    tolerate("Degraded", [&] { manager_->look_for_degradation(); });
}

void Service::pod_added(const pods::Pod& pod) {
    tolerate(pod.id, [&] {
        attachments_.erase(pod.id);
        attachments_.emplace(pod.id, std::make_unique<AttachmentObject>(*bus_, registry_, authority_, pod.id));
    });
}

void Service::pod_changed(const pods::Pod& pod) {
    const auto it = attachments_.find(pod.id);
    if (it != attachments_.end()) tolerate(pod.id, [&] { it->second->limits_changed(); });
}

void Service::pod_removed(const std::string& id) {
    tolerate(id, [&] { attachments_.erase(id); });
}

}  // namespace natra::dbus
