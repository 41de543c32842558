// SPDX-License-Identifier: Apache-2.0
#include "daemon/util/shortened.hpp"
#include "daemon/util/utf8.hpp"
#include "dbus/guard.hpp"
#include "dbus/objects.hpp"
#include "dbus/reply.hpp"
#include "dbus/service.hpp"

namespace natra::dbus {

using datapath::Direction;

std::string attachment_path(const std::string& id) { return concat(root_path, "/attachment/", id); }

AttachmentObject::AttachmentObject(sdbus::IConnection& bus, pods::Registry& registry, Authority& authority,
                                   const std::string& id)
    : AdaptorInterfaces(bus, compat::path(attachment_path(id))), registry_(registry), authority_(authority), id_(id) {
    registerAdaptor();
    emitInterfacesAddedSignal();
}

AttachmentObject::~AttachmentObject() {
    try {
        emitInterfacesRemovedSignal();
    } catch (const sdbus::Error&) {
        // The bus is gone; so are the listeners.
    }
    unregisterAdaptor();
}

void AttachmentObject::limits_changed() {
    compat::properties_changed(getObject(), Attachment_adaptor::INTERFACE_NAME,
                               {"DataPath", "IngressRate", "IngressBurst", "IngressSource", "IngressHook",
                                "IngressShaper", "IngressReason", "EgressRate", "EgressBurst", "EgressSource",
                                "EgressHook", "EgressShaper", "EgressReason", "TamperEvents", "Backstop",
                                "OverriddenBy", "OverriddenAtUsec"});
}

namespace {

pods::Registry::Done answer(const std::shared_ptr<Reply<>>& reply) {
    return [reply](const Result<void>& r) {
        if (r)
            reply->send();
        else
            reply->send_error(r.error());
    };
}

}  // namespace

// By the time polkit has answered this object may be gone: the registry says so.
void AttachmentObject::change(
    sdbus::Result<>&& result, const char* method,
    std::function<void(const std::string& id, const std::string& by, pods::Registry::Done)> change) {
    auto reply = share_reply(std::move(result));
    authority_.ask(getObject(), method, [reply, change = std::move(change), id = id_](const Result<uid_t>& user) {
        if (!user) return reply->send_error(user.error());
        // Perhaps not in a handler: polkit's answer is sdbus-c++'s callback, too, and nothing may leave that.
        try {
            change(id, concat("uid ", *user, " over D-Bus"), answer(reply));
        } catch (const std::exception& e) {
            reply->send_error({Error::Code::internal, 0, e.what()});
        }
    });
}

void AttachmentObject::SetLimits(sdbus::Result<>&& result, Dictionary limits) {
    guarded([&] {
        change(
            std::move(result), "SetLimits",
            [&registry = registry_, changes = override_from(limits)](const auto& id, const auto& by, const auto& done) {
                if (!changes) return done(changes.error());
                registry.set_limits(id, *changes, by, done);
            });
    });
}

void AttachmentObject::ResetLimits(sdbus::Result<>&& result) {
    guarded([&] {
        change(std::move(result), "ResetLimits",
               [&registry = registry_](const auto& id, const auto& by, const auto& done) {
                   registry.reset_limits(id, by, done);
               });
    });
}

void AttachmentObject::SetDataPath(sdbus::Result<>&& result, Dictionary data_path) {
    guarded([&] {
        change(std::move(result), "SetDataPath",
               [&registry = registry_, pins = pins_change_from(data_path)](const auto& id, const auto& by,
                                                                           const auto& done) {
                   if (!pins) return done(pins.error());
                   registry.set_data_path(id, *pins, by, done);
               });
    });
}

void AttachmentObject::ResetDataPath(sdbus::Result<>&& result) {
    guarded([&] {
        change(std::move(result), "ResetDataPath",
               [&registry = registry_](const auto& id, const auto& by, const auto& done) {
                   registry.reset_data_path(id, by, done);
               });
    });
}

std::vector<Dictionary> AttachmentObject::HeavyFlows(const std::string& direction, const std::uint32_t& top) {
    return guarded([&] {
        if (auto r = authority_.require_reader(getObject(), "HeavyFlows"); !r) throw to_bus_error(r.error());
        for (const auto d : datapath::directions)
            if (direction == to_string(d)) return flows_of(pod(), d, top);
        throw to_bus_error({Error::Code::invalid_argument, 0,
                            concat("direction: \"", shortened(direction), "\" is neither \"ingress\" nor \"egress\"")});
    });
}

const pods::Pod& AttachmentObject::pod() const {
    const auto* found = registry_.find(id_);
    if (found == nullptr) throw to_bus_error({Error::Code::not_found, 0, concat("no attachment ", id_)});
    return *found;
}

std::string AttachmentObject::hook(Direction direction) const {
    const auto& record = pod().kernel.record;
    return record.of(direction) ? as_utf8(describe_hook(record, *record.of(direction))) : "";
}

std::string AttachmentObject::shaper(Direction direction) const {
    const auto& shaping = pod().kernel.record.of(direction);
    return shaping ? std::string(to_string(shaping->shaper)) : "";
}

std::string AttachmentObject::reason(Direction direction) const { return as_utf8(registry_.reason(pod(), direction)); }

// One line a property: the names are the contract's.
std::string AttachmentObject::ContainerId() { return pod().request.container_id; }
std::string AttachmentObject::InterfaceName() { return pod().request.interface_name; }
std::string AttachmentObject::Network() { return pod().request.network; }
std::string AttachmentObject::PodNamespace() { return pod().request.pod_namespace; }
std::string AttachmentObject::PodName() { return pod().request.pod_name; }
std::string AttachmentObject::PodUid() { return pod().request.pod_uid; }
std::string AttachmentObject::NetnsPath() { return pod().request.netns_path; }
std::string AttachmentObject::HostInterface() { return as_utf8(pod().kernel.record.host_device); }
std::map<std::string, std::string> AttachmentObject::DataPath() { return data_path_of(pod()); }
std::uint64_t AttachmentObject::AttachedAtUsec() { return pod().attached_at_usec; }
std::vector<std::string> AttachmentObject::ShapedSubnets() { return limits::to_strings(pod().request.subnets.shaped); }
std::vector<std::string> AttachmentObject::UnshapedSubnets() {
    return limits::to_strings(pod().request.subnets.unshaped);
}
std::vector<std::string> AttachmentObject::Warnings() { return pod().request.warnings; }
std::uint64_t AttachmentObject::TamperEvents() { return pod().tamper_events; }
bool AttachmentObject::Backstop() { return pod().kernel.record.egress && pod().kernel.record.egress->backstop; }
std::string AttachmentObject::OverriddenBy() { return pod().changes.by; }
std::uint64_t AttachmentObject::OverriddenAtUsec() { return pod().changes.at_usec; }
std::uint64_t AttachmentObject::IngressRate() { return pod().effective.ingress.rate_bps; }
std::uint64_t AttachmentObject::IngressBurst() { return pod().effective.ingress.burst_bits; }
std::string AttachmentObject::IngressSource() { return std::string(to_string(pod().effective.ingress.source)); }
std::uint64_t AttachmentObject::IngressHeavyThreshold() { return pod().effective.ingress.heavy_threshold_bytes; }
std::string AttachmentObject::IngressHook() { return hook(Direction::ingress); }
std::string AttachmentObject::IngressShaper() { return shaper(Direction::ingress); }
std::string AttachmentObject::IngressReason() { return reason(Direction::ingress); }
std::map<std::string, std::uint64_t> AttachmentObject::IngressCounters() {
    return guarded([&] { return counters_of(pod().kernel.ingress.get()); });
}
std::vector<sdbus::Struct<std::uint64_t, std::uint64_t>> AttachmentObject::IngressQueueDelay() {
    return guarded([&] { return queue_delay_of(pod().kernel.ingress.get()); });
}
std::map<std::string, double> AttachmentObject::IngressClassification() {
    return guarded([&] { return classification_of(pod().kernel.ingress.get()); });
}
std::uint64_t AttachmentObject::EgressRate() { return pod().effective.egress.rate_bps; }
std::uint64_t AttachmentObject::EgressBurst() { return pod().effective.egress.burst_bits; }
std::string AttachmentObject::EgressSource() { return std::string(to_string(pod().effective.egress.source)); }
std::uint64_t AttachmentObject::EgressHeavyThreshold() { return pod().effective.egress.heavy_threshold_bytes; }
std::string AttachmentObject::EgressHook() { return hook(Direction::egress); }
std::string AttachmentObject::EgressShaper() { return shaper(Direction::egress); }
std::string AttachmentObject::EgressReason() { return reason(Direction::egress); }
std::map<std::string, std::uint64_t> AttachmentObject::EgressCounters() {
    return guarded([&] { return counters_of(pod().kernel.egress.get()); });
}
std::vector<sdbus::Struct<std::uint64_t, std::uint64_t>> AttachmentObject::EgressQueueDelay() {
    return guarded([&] { return queue_delay_of(pod().kernel.egress.get()); });
}
std::map<std::string, double> AttachmentObject::EgressClassification() {
    return guarded([&] { return classification_of(pod().kernel.egress.get()); });
}

}  // namespace natra::dbus
