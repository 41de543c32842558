// SPDX-License-Identifier: Apache-2.0
// Puts limits into the kernel, changes, verifies and removes them. Knows devices,
// not pods. All calls block and belong to one thread, the kernel worker; each
// either succeeds or leaves the kernel as it was.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/datapath/features.hpp"
#include "daemon/datapath/hook.hpp"
#include "daemon/datapath/instance_pool.hpp"
#include "daemon/datapath/netlink.hpp"
#include "daemon/datapath/netns.hpp"
#include "daemon/datapath/record.hpp"

namespace natra::datapath {

struct EngineSettings {
    std::string pin_root = "/sys/fs/bpf/natra";
    std::optional<Shaper> shaper;  // forced; else the best that the kernel and the device offer
    AttachMode attach_mode = AttachMode::automatic;
    std::size_t pool_size = 128;  // 64 pods with both directions, 6 MB
};

struct AttachSpec {
    std::string id;                         // names the pins: [A-Za-z0-9_], unique among attachments
    int netns_fd = -1;                      // the pod's network namespace
    std::string netns_path;                 // where to find it later; may be empty
    std::string device;                     // inside the namespace
    std::vector<std::string> host_devices;  // if not empty, the veth's peer must be among them
    Rates rates;
};

class Engine {
public:
    // Opens the host's netlink in the calling thread's namespace, probes the kernel, fills the pool.
    static Result<std::unique_ptr<Engine>> create(EngineSettings settings);

    Result<Attached> attach(const AttachSpec& spec);
    // Other rates. Live: packets in flight stay. On failure the old rates are in force; `attached` is what
    // is in the kernel then, too: a direction that had to be started anew has another program.
    Result<void> change(Attached& attached, const Rates& rates);
    // Code::mismatch with upstream's wording where the kernel is not as recorded.
    Result<void> check(const Attached& attached, int netns_fd);
    // Succeeds when the devices or the namespace are gone. Takes the pins away in any case.
    Result<void> detach(const Attached& attached);
    // Finds an attachment that another natrad made, and puts back what is missing. A direction that
    // cannot be put back is not in the result. Code::no_device when its devices are gone.
    Result<Attached> adopt(const AttachmentRecord& record);

    // Whether the attachment's devices are still the ones recorded; an error if the kernel would not say.
    Result<bool> alive(const AttachmentRecord& record);
    // The namespace's interface of that name is the one recorded.
    Result<bool> same_device(const AttachmentRecord& record, int netns_fd, const std::string& device);

    // Ids of pinned attachments, and removal of those that nobody recorded.
    std::vector<std::string> pinned() const;
    void remove_pins(const std::string& id);

    [[nodiscard]] const Features& features() const { return features_; }
    [[nodiscard]] const InstancePool& pool() const { return pool_; }  // thread-safe

private:
    struct PodSide {
        UniqueFd fd;
        Netlink netlink;
    };
    Engine(EngineSettings settings, Netlink host, Features features);

    Result<PodSide> enter(int netns_fd);
    Result<PodSide> enter(const AttachmentRecord& record);
    Result<void> find_devices(AttachmentRecord& record, PodSide& pod, const AttachSpec& spec);
    Result<void> start(Attached& attached, Direction direction, const Rate& rate, PodSide* pod);
    Result<void> start_with(Attached& attached, Direction direction, const Rate& rate, Shaper shaper, PodSide* pod);
    Result<void> stop(Attached& attached, Direction direction, PodSide* pod);
    Result<void> retune(Attached& attached, Direction direction, const Rate& rate, PodSide* pod);
    bool needs_pod_side(const AttachmentRecord& record, Direction direction, const std::optional<Rate>& rate) const;
    Result<void> set_direction(Attached& attached, Direction direction, const std::optional<Rate>& rate, PodSide* pod);
    Result<void> adopt_direction(Attached& attached, Direction direction, PodSide* pod);
    void remove_direction_pins(const std::string& id, Direction direction);
    Result<void> verify(const Attached& attached, Direction direction, PodSide* pod);
    natra_config config_for(const Rate& rate, Shaper shaper, Direction direction) const;
    HookPoint point(const AttachmentRecord& record, Direction direction, bool pod_side, bool device_egress,
                    PodSide* pod);
    std::string pins(const std::string& id) const;

    EngineSettings settings_;
    Netlink host_;
    Features features_;
    NetnsWorker worker_;
    std::map<int, std::string> owners_;  // host devices with an attachment -> its id
    InstancePool pool_;
};

}  // namespace natra::datapath
