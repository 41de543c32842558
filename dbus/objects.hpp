// SPDX-License-Identifier: Apache-2.0
// The generated interfaces of io.natra.Natrad1.xml, answered from the registry.
#pragma once

#include <chrono>
#include <functional>

#include "daemon/pods/registry.hpp"
#include "dbus/authority.hpp"
#include "dbus/service.hpp"
#include "dbus/values.hpp"
#include "natrad1_adaptor.h"

namespace natra::dbus {

std::string attachment_path(const std::string& id);

class ManagerObject final
    : public sdbus::AdaptorInterfaces<io::natra::Natrad1::Manager_adaptor, sdbus::ObjectManager_adaptor> {
public:
    ManagerObject(sdbus::IConnection& bus, pods::Registry& registry, const datapath::Engine& engine,
                  Authority& authority, Troubles troubles);
    ~ManagerObject();

    // PropertiesChanged if Degraded is another one than at the last call.
    void look_for_degradation();

private:
    void Attach(sdbus::Result<sdbus::ObjectPath>&& result, sdbus::UnixFd netns, Dictionary request) override;
    void Detach(sdbus::Result<>&& result, std::string container_id, std::string interface_name,
                std::string network) override;
    void CollectGarbage(sdbus::Result<std::vector<std::string>>&& result, std::string network,
                        std::vector<sdbus::Struct<std::string, std::string>> valid) override;
    void Check(sdbus::Result<>&& result, sdbus::UnixFd netns, Dictionary request) override;
    Dictionary Status() override;
    std::string Version() override;
    std::vector<std::string> Features() override;
    std::vector<std::string> Degraded() override;

    pods::Registry& registry_;
    const datapath::Engine& engine_;
    Authority& authority_;
    const Troubles troubles_;
    const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
    std::vector<std::string> told_degraded_;
};

class AttachmentObject final
    : public sdbus::AdaptorInterfaces<io::natra::Natrad1::Attachment_adaptor, sdbus::ManagedObject_adaptor> {
public:
    AttachmentObject(sdbus::IConnection& bus, pods::Registry& registry, Authority& authority, const std::string& id);
    ~AttachmentObject();

    // PropertiesChanged for what SetLimits, ResetLimits and repairs can change.
    void limits_changed();

private:
    void SetLimits(sdbus::Result<>&& result, Dictionary limits) override;
    void ResetLimits(sdbus::Result<>&& result) override;
    void SetDataPath(sdbus::Result<>&& result, Dictionary data_path) override;
    void ResetDataPath(sdbus::Result<>&& result) override;
    std::vector<Dictionary> HeavyFlows(const std::string& direction, const std::uint32_t& top) override;

    std::string ContainerId() override;
    std::string InterfaceName() override;
    std::string Network() override;
    std::string PodNamespace() override;
    std::string PodName() override;
    std::string PodUid() override;
    std::string NetnsPath() override;
    std::string HostInterface() override;
    std::uint64_t AttachedAtUsec() override;
    std::vector<std::string> ShapedSubnets() override;
    std::vector<std::string> UnshapedSubnets() override;
    std::vector<std::string> Warnings() override;
    std::map<std::string, std::string> DataPath() override;
    std::uint64_t TamperEvents() override;
    bool Backstop() override;
    std::string OverriddenBy() override;
    std::uint64_t OverriddenAtUsec() override;
    std::uint64_t IngressRate() override;
    std::uint64_t IngressBurst() override;
    std::string IngressSource() override;
    std::uint64_t IngressHeavyThreshold() override;
    std::string IngressHook() override;
    std::string IngressShaper() override;
    std::string IngressReason() override;
    std::map<std::string, std::uint64_t> IngressCounters() override;
    std::vector<sdbus::Struct<std::uint64_t, std::uint64_t>> IngressQueueDelay() override;
    std::map<std::string, double> IngressClassification() override;
    std::uint64_t EgressRate() override;
    std::uint64_t EgressBurst() override;
    std::string EgressSource() override;
    std::uint64_t EgressHeavyThreshold() override;
    std::string EgressHook() override;
    std::string EgressShaper() override;
    std::string EgressReason() override;
    std::map<std::string, std::uint64_t> EgressCounters() override;
    std::vector<sdbus::Struct<std::uint64_t, std::uint64_t>> EgressQueueDelay() override;
    std::map<std::string, double> EgressClassification() override;

    // Runs `change` if the caller of the method may change limits, and answers.
    void change(sdbus::Result<>&& result, const char* method,
                std::function<void(const std::string& id, const std::string& by, pods::Registry::Done)> change);
    [[nodiscard]] const pods::Pod& pod() const;  // throws sdbus::Error NotFound
    [[nodiscard]] std::string hook(datapath::Direction direction) const;
    [[nodiscard]] std::string shaper(datapath::Direction direction) const;
    [[nodiscard]] std::string reason(datapath::Direction direction) const;

    pods::Registry& registry_;
    Authority& authority_;
    const std::string id_;
};

}  // namespace natra::dbus
