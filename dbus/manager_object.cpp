// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/degraded.hpp"
#include "daemon/util/utf8.hpp"
#include "dbus/guard.hpp"
#include "dbus/objects.hpp"
#include "dbus/reply.hpp"
#include "dbus/service.hpp"

namespace natra::dbus {

ManagerObject::ManagerObject(sdbus::IConnection& bus, pods::Registry& registry, const datapath::Engine& engine,
                             Authority& authority, Troubles troubles)
    : AdaptorInterfaces(bus, compat::path(root_path)), registry_(registry), engine_(engine), authority_(authority),
      troubles_(std::move(troubles)) {
    registerAdaptor();
}

ManagerObject::~ManagerObject() { unregisterAdaptor(); }

void ManagerObject::Attach(sdbus::Result<sdbus::ObjectPath>&& result, sdbus::UnixFd netns, Dictionary request) {
    guarded([&] {
        auto reply = share_reply(std::move(result));
        if (auto r = authority_.require_root(getObject(), "Attach"); !r) return reply->send_error(r.error());
        auto parsed = request_from(request);
        if (!parsed) return reply->send_error(parsed.error());
        registry_.attach(*std::move(parsed), UniqueFd(netns.release()), [reply](Result<std::string> id) {
            if (id)
                reply->send(compat::path(id->empty() ? "/" : attachment_path(*id)));
            else
                reply->send_error(id.error());
        });
    });
}

void ManagerObject::Detach(sdbus::Result<>&& result, std::string container_id, std::string interface_name,
                           std::string network) {
    guarded([&] {
        auto reply = share_reply(std::move(result));
        if (auto r = authority_.require_root(getObject(), "Detach"); !r) return reply->send_error(r.error());
        const pods::AttachmentName name{
            .container_id = container_id, .interface_name = interface_name, .network = network};
        registry_.detach(name, [reply](const Result<void>& r) {
            if (r)
                reply->send();
            else
                reply->send_error(r.error());
        });
    });
}

void ManagerObject::Check(sdbus::Result<>&& result, sdbus::UnixFd netns, Dictionary request) {
    guarded([&] {
        auto reply = share_reply(std::move(result));
        if (auto r = authority_.require_root(getObject(), "Check"); !r) return reply->send_error(r.error());
        auto parsed = request_from(request);
        if (!parsed) return reply->send_error(parsed.error());
        registry_.check(*std::move(parsed), UniqueFd(netns.release()), [reply](const Result<void>& r) {
            if (r)
                reply->send();
            else
                reply->send_error(r.error());
        });
    });
}

void ManagerObject::CollectGarbage(sdbus::Result<std::vector<std::string>>&& result, std::string network,
                                   std::vector<sdbus::Struct<std::string, std::string>> valid) {
    guarded([&] {
        auto reply = share_reply(std::move(result));
        if (auto r = authority_.require_root(getObject(), "CollectGarbage"); !r) return reply->send_error(r.error());
        if (network.empty()) return reply->send_error({Error::Code::invalid_argument, 0, "network: is empty"});
        pods::Registry::ValidAttachments known;
        for (const auto& each : valid) known.emplace(each.get<0>(), each.get<1>());
        registry_.collect_garbage(network, known,
                                  [reply](const std::vector<std::string>& removed) { reply->send(removed); });
    });
}

Dictionary ManagerObject::Status() {
    return guarded([&] {
        const auto uptime = std::chrono::steady_clock::now() - started_;
        const auto uptime_usec = std::chrono::duration_cast<std::chrono::microseconds>(uptime).count();
        Dictionary out;
        out["Version"] = sdbus::Variant(Version());
        out["Kernel"] = sdbus::Variant(engine_.features().kernel);
        out["Features"] = sdbus::Variant(Features());
        out["Degraded"] = sdbus::Variant(Degraded());
        out["Attachments"] = sdbus::Variant(static_cast<std::uint32_t>(registry_.pods().size()));
        out["PoolReady"] = sdbus::Variant(static_cast<std::uint32_t>(engine_.pool().ready()));
        out["TamperEvents"] = sdbus::Variant(registry_.tamper_events());
        out["LeftToOthers"] = sdbus::Variant(static_cast<std::uint32_t>(registry_.left_to_others()));
        out["UptimeUsec"] = sdbus::Variant(static_cast<std::uint64_t>(uptime_usec));
        return out;
    });
}

std::string ManagerObject::Version() { return NATRA_VERSION; }

std::vector<std::string> ManagerObject::Features() {
    return guarded([&] { return engine_.features().names(); });
}

std::vector<std::string> ManagerObject::Degraded() {
    return guarded([&] {
        auto out = pods::degraded(registry_, engine_, troubles_());
        for (auto& sentence : out) sentence = as_utf8(sentence);
        return out;
    });
}

void ManagerObject::look_for_degradation() {
    auto now = pods::degraded(registry_, engine_, troubles_());
    if (now == told_degraded_) return;
    compat::properties_changed(getObject(), Manager_adaptor::INTERFACE_NAME, {"Degraded"});
    told_degraded_ = std::move(now);  // not if that threw: it is tried again
}

}  // namespace natra::dbus
