// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/engine.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "daemon/datapath/shaper.hpp"
#include "daemon/util/files.hpp"
#include "daemon/util/log.hpp"

namespace natra::datapath {
namespace {

using Code = Error::Code;

std::string parent_of(const std::string& path) { return std::filesystem::path(path).parent_path(); }

Result<void> check_bpffs(const std::string& path) {
    struct statfs info {};
    if (::statfs(path.c_str(), &info) < 0) return fail_errno(Code::kernel, errno, "statfs ", path);
    if (info.f_type != BPF_FS_MAGIC)
        return fail(Code::unsupported, path, " is not on a BPF file system (mount -t bpf bpf /sys/fs/bpf)");
    return {};
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::create(EngineSettings settings) {
    redirect_libbpf_log();
    if (auto r = check_bpffs(parent_of(settings.pin_root)); !r) return r.error();
    if (auto r = files::make_directory(settings.pin_root); !r) return r.error();
    auto host = Netlink::open();
    if (!host) return host.error();
    // A load that fails now would fail for every pod: say so at start.
    if (auto trial = Instance::load(); !trial) return trial.error();
    auto features = probe_features();
    if (settings.attach_mode == AttachMode::tcx && !features.tcx)
        return fail(Code::unsupported, "attach mode tcx: kernel ", features.kernel, " has no tcx");
    return std::unique_ptr<Engine>(new Engine(std::move(settings), *std::move(host), std::move(features)));
}

Engine::Engine(EngineSettings settings, Netlink host, Features features)
    : settings_(std::move(settings)),
      host_(std::move(host)),
      features_(std::move(features)),
      pool_(settings_.pool_size) {}

Result<Attached> Engine::attach(const AttachSpec& spec) {
    auto pod = enter(spec.netns_fd);
    if (!pod) return pod.error();
    Attached attached;
    attached.record.id = spec.id;
    attached.record.netns_path = spec.netns_path;
    if (auto r = find_devices(attached.record, *pod, spec); !r) return r.error();
    remove_pins(spec.id);
    if (auto r = files::make_directory(pins(spec.id)); !r) return r.error();
    for (const auto direction : directions) {
        if (!spec.rates.of(direction)) continue;
        auto started = start(attached, direction, *spec.rates.of(direction), &*pod);
        if (started) continue;
        for (const auto undo : directions)
            if (attached.record.of(undo)) (void)stop(attached, undo, &*pod);
        remove_pins(spec.id);
        return started.error();
    }
    return attached;
}

Result<Attached> Engine::change(const Attached& before, const Rates& rates) {
    Attached after = before;
    // Entered when the first step needs it: with EDT most changes do not touch the pod's side.
    std::optional<PodSide> pod;
    for (const auto direction : directions) {
        auto changed = set_direction(after, direction, rates.of(direction), pod);
        if (changed) continue;
        for (const auto undo : directions)
            if (auto r = set_direction(after, undo, before.record.rates().of(undo), pod); !r)
                log::error(concat(before.record.id, ": restore ", to_string(undo), " limit: ", r.error().what));
        return changed.error();
    }
    return after;
}

Result<void> Engine::set_direction(Attached& attached, Direction direction, const std::optional<Rate>& rate,
                                   std::optional<PodSide>& pod) {
    const auto& now = attached.record.of(direction);
    if (!now && !rate) return {};
    if (now && rate && now->rate == *rate) return {};
    const bool steer_only = now && rate && (now->shaper != Shaper::htb || !now->pod_side);
    // Without a limit yet the shaper is not known, and it may want the pod's side.
    const bool needs_pod = direction == Direction::egress && !steer_only && !(now && !rate && !now->pod_side);
    if (needs_pod && !pod) {
        auto entered = enter(attached.record);
        if (!entered) return entered.error();
        pod.emplace(*std::move(entered));
    }
    auto* const side = pod ? &*pod : nullptr;
    if (now && rate) return retune(attached, direction, *rate, side);
    if (rate) return start(attached, direction, *rate, side);
    return stop(attached, direction, side);
}

Result<void> Engine::start(Attached& attached, Direction direction, const Rate& rate, PodSide* pod) {
    std::string skipped;
    std::optional<Error> last;
    for (const auto shaper : shaper_candidates(features_, settings_.shaper)) {
        auto started = start_with(attached, direction, rate, shaper, pod);
        if (started) {
            auto& reason = attached.record.of(direction)->reason;
            reason = concat(settings_.shaper ? concat(to_string(shaper), " by configuration")
                                             : concat(to_string(shaper), ": best that works here", skipped),
                            "; ", reason);
            return {};
        }
        last = started.error();
        skipped += concat(" (", to_string(shaper), ": ", last->what, ")");
    }
    return *last;
}

Result<void> Engine::start_with(Attached& attached, Direction direction, const Rate& rate, Shaper shaper,
                                PodSide* pod) {
    auto& record = attached.record;
    const bool pod_side = on_pod_side(shaper, direction);
    // Policing what leaves the pod happens where it arrives at the host.
    const bool device_egress = !(shaper == Shaper::police && direction == Direction::egress);
    const auto where = point(record, direction, pod_side, device_egress, pod);

    auto instance = pool_.take();
    if (!instance) return instance.error();
    const auto config = config_for(rate, shaper, direction);
    instance->configure(config);
    if (auto r = instance->pin(pins(record.id), std::string(to_string(direction))); !r) return r;

    if (auto r = add_shaper_qdisc(where.netlink, where.ifindex, shaper, rate, config); !r) {
        (void)files::remove(concat(pins(record.id), "/", to_string(direction), "_prog"));
        (void)files::remove(concat(pins(record.id), "/", to_string(direction), "_state"));
        return r;
    }
    const auto& other = record.of(direction == Direction::ingress ? Direction::egress : Direction::ingress);
    const bool clsact_is_ours = other && other->pod_side == pod_side && other->hook.made_clsact;
    auto hook = attach_hook(where, instance->prog_fd(), settings_.attach_mode, features_.tcx, clsact_is_ours);
    if (!hook) {
        (void)remove_shaper_qdisc(where.netlink, where.ifindex, shaper);
        (void)files::remove(concat(pins(record.id), "/", to_string(direction), "_prog"));
        (void)files::remove(concat(pins(record.id), "/", to_string(direction), "_state"));
        return hook.error();
    }
    hook->record.made_clsact = hook->record.made_clsact || (clsact_is_ours && hook->record.kind == HookKind::clsact);
    record.of(direction) = ShapingRecord{.rate = rate,
                                         .shaper = shaper,
                                         .pod_side = pod_side,
                                         .hook = hook->record,
                                         .reason = std::move(hook->reason)};
    attached.instance(direction) = std::make_shared<Instance>(*std::move(instance));
    return {};
}

Result<void> Engine::stop(Attached& attached, Direction direction, PodSide* pod) {
    auto& record = attached.record;
    const auto shaping = *record.of(direction);
    std::optional<Error> first;
    const auto note = [&](Result<void> r) {
        if (!r && r.error().code != Code::no_device && !first) first = std::move(r).error();
    };
    if (!shaping.pod_side || pod != nullptr) {
        const auto where = point(record, direction, shaping.pod_side, shaping.hook.device_egress, pod);
        const auto& other = record.of(direction == Direction::ingress ? Direction::egress : Direction::ingress);
        const bool keep_clsact =
            other && other->pod_side == shaping.pod_side && other->hook.kind == HookKind::clsact;
        note(detach_hook(where, shaping.hook, keep_clsact));
        note(remove_shaper_qdisc(where.netlink, where.ifindex, shaping.shaper));
    }
    for (const char* const what : {"_link", "_prog", "_state"})
        note(files::remove(concat(pins(record.id), "/", to_string(direction), what)));
    record.of(direction).reset();
    attached.instance(direction).reset();
    if (first) return *first;
    return {};
}

Result<void> Engine::retune(Attached& attached, Direction direction, const Rate& rate, PodSide* pod) {
    auto& shaping = *attached.record.of(direction);
    const auto config = config_for(rate, shaping.shaper, direction);
    if (shaping.shaper == Shaper::htb) {
        const auto where = point(attached.record, direction, shaping.pod_side, shaping.hook.device_egress, pod);
        if (auto r = where.netlink.change_htb(where.ifindex, htb_shape(rate, config)); !r) return r;
    }
    attached.instance(direction)->configure(config);
    shaping.rate = rate;
    return {};
}

Result<void> Engine::check(const Attached& attached, int netns_fd) {
    auto pod = enter(netns_fd);
    if (!pod) return pod.error();
    for (const auto direction : directions)
        if (attached.record.of(direction))
            if (auto r = verify(attached, direction, &*pod); !r) return r;
    return {};
}

Result<void> Engine::verify(const Attached& attached, Direction direction, PodSide* pod) {
    const auto& record = attached.record;
    const auto& shaping = *record.of(direction);
    const auto where = point(record, direction, shaping.pod_side, shaping.hook.device_egress, pod);
    const auto qdisc = shaper_qdisc_in_force(where.netlink, where.ifindex, shaping.shaper);
    if (!qdisc) return qdisc.error();
    if (!*qdisc)
        return fail(Code::mismatch, "Failed to find qdisc ", to_string(shaping.shaper), " for ", to_string(direction),
                    " on ", where.device);
    const auto hook = hook_in_force(where, shaping.hook, attached.instance(direction)->prog_id());
    if (!hook) return hook.error();
    if (!*hook)
        return fail(Code::mismatch, "Failed to find program for ", to_string(direction), " at ",
                    describe_hook(record, shaping));
    return {};
}

Result<void> Engine::detach(const Attached& attached) {
    Attached gone = attached;
    std::optional<PodSide> pod;
    if (auto entered = enter(attached.record)) pod.emplace(*std::move(entered));
    std::optional<Error> first;
    for (const auto direction : directions) {
        if (!gone.record.of(direction)) continue;
        if (auto r = stop(gone, direction, pod ? &*pod : nullptr); !r && !first) first = r.error();
    }
    remove_pins(attached.record.id);
    if (first) return *first;
    return {};
}

Result<Attached> Engine::adopt(const AttachmentRecord& recorded) {
    if (!alive(recorded))
        return fail(Code::no_device, recorded.host_device, " (ifindex ", recorded.host_ifindex, ") is gone");
    Attached attached{.record = recorded};
    auto entered = enter(recorded);
    std::optional<PodSide> pod;
    if (entered) pod.emplace(*std::move(entered));
    for (const auto direction : directions) {
        if (!recorded.of(direction)) continue;
        auto instance = Instance::adopt(pins(recorded.id), std::string(to_string(direction)));
        if (instance) attached.instance(direction) = std::make_shared<Instance>(*std::move(instance));
        // The pod's side cannot be looked at without its namespace; what is pinned there stays.
        if (recorded.of(direction)->pod_side && !pod) {
            if (instance) continue;
            return fail(Code::no_device, "network namespace ", recorded.netns_path, " is gone");
        }
        auto* const side = pod ? &*pod : nullptr;
        if (instance) {
            const auto sound = verify(attached, direction, side);
            if (sound) continue;
            log::warning(concat(recorded.id, ": repairing ", to_string(direction), ": ", sound.error().what));
        } else {
            log::warning(concat(recorded.id, ": renewing ", to_string(direction), ": ", instance.error().what));
        }
        const auto rate = recorded.of(direction)->rate;
        (void)stop(attached, direction, side);
        if (auto r = files::make_directory(pins(recorded.id)); !r) return r.error();
        if (auto r = start(attached, direction, rate, side); !r) return r.error();
    }
    return attached;
}

bool Engine::alive(const AttachmentRecord& record) {
    const auto link = host_.link_by_index(record.host_ifindex);
    // Not by name: an administrator may rename the device.
    return link && link->kind == "veth" && link->peer_ifindex == record.pod_ifindex;
}

Result<bool> Engine::same_device(const AttachmentRecord& record, int netns_fd, const std::string& device) {
    const auto id = netns_id(netns_fd);
    if (!id) return id.error();
    if (*id != record.netns || !alive(record)) return false;
    auto pod = enter(netns_fd);
    if (!pod) return pod.error();
    const auto link = pod->netlink.link_by_name(device);
    return link && link->ifindex == record.pod_ifindex;
}

std::vector<std::string> Engine::pinned() const { return files::list(settings_.pin_root); }

void Engine::remove_pins(const std::string& id) {
    std::error_code error;
    std::filesystem::remove_all(pins(id), error);
    if (error) log::warning(concat("remove ", pins(id), ": ", error.message()));
}

Result<Engine::PodSide> Engine::enter(int netns_fd) {
    const auto id = netns_id(netns_fd);
    if (!id) return id.error();
    UniqueFd own(::fcntl(netns_fd, F_DUPFD_CLOEXEC, 3));
    if (!own) return fail_errno(Code::internal, errno, "duplicate network namespace descriptor");
    auto netlink = worker_.run(own.get(), [] { return Netlink::open(); });
    if (!netlink) return netlink.error();
    return PodSide{std::move(own), *std::move(netlink)};
}

// Not kept open between calls: a descriptor or socket of ours would keep a dead pod's namespace alive.
Result<Engine::PodSide> Engine::enter(const AttachmentRecord& record) {
    if (record.netns_path.empty())
        return fail(Code::unavailable, record.id, ": the network namespace's path is not known");
    auto fd = open_netns(record.netns_path);
    if (!fd) return fd.error();
    const auto id = netns_id(fd->get());
    if (!id) return id.error();
    if (*id != record.netns)
        return fail(Code::no_device, record.netns_path, " is another network namespace now");
    return enter(fd->get());
}

Result<void> Engine::find_devices(AttachmentRecord& record, PodSide& pod, const AttachSpec& spec) {
    const auto id = netns_id(pod.fd.get());
    if (!id) return id.error();
    // Wording of the stock plugin, which users and their tools know.
    const auto no_peer = concat("container interface ", spec.device, " has no veth peer: ");
    const auto inside = pod.netlink.link_by_name(spec.device);
    if (!inside) {
        if (inside.error().code != Code::no_device) return inside.error();
        return fail(Code::no_device, no_peer, "could not look up \"", spec.device, "\": Link not found");
    }
    if (inside->kind != "veth" || inside->peer_ifindex == 0)
        return fail(Code::unsupported, no_peer, "interface \"", spec.device, "\" was not a veth interface");
    const auto outside = host_.link_by_index(inside->peer_ifindex);
    // The index may belong to an unrelated device here when the peer is in a third namespace.
    if (!outside || outside->kind != "veth" || outside->peer_ifindex != inside->ifindex)
        return fail(Code::unsupported, "veth peer with index ", inside->peer_ifindex, " is not in host ns");
    const auto& known = spec.host_devices;
    if (!known.empty() && std::find(known.begin(), known.end(), outside->name) == known.end())
        return fail(Code::unsupported, "no veth peer of container interface found in host ns");
    record.netns = *id;
    record.pod_device = spec.device;
    record.pod_ifindex = inside->ifindex;
    record.host_device = outside->name;
    record.host_ifindex = outside->ifindex;
    return {};
}

natra_config Engine::config_for(const Rate& rate, Shaper shaper, Direction direction) const {
    return make_config({.rate_bps = rate.rate_bps,
                        .burst_bits = rate.burst_bits,
                        .shaper = shaper,
                        .direction = direction,
                        .ingress_hook = shaper == Shaper::police && direction == Direction::egress,
                        .shared_counters = features_.shared_counters});
}

HookPoint Engine::point(const AttachmentRecord& record, Direction direction, bool pod_side, bool device_egress,
                        PodSide* pod) {
    return HookPoint{.netlink = pod_side ? pod->netlink : host_,
                     .worker = worker_,
                     .netns_fd = pod_side ? pod->fd.get() : -1,
                     .ifindex = pod_side ? record.pod_ifindex : record.host_ifindex,
                     .device = pod_side ? record.pod_device : record.host_device,
                     .device_egress = device_egress,
                     .link_pin = concat(pins(record.id), "/", to_string(direction), "_link")};
}

std::string Engine::pins(const std::string& id) const { return concat(settings_.pin_root, "/", id); }

}  // namespace natra::datapath
