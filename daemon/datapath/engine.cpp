// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/engine.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
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
    : settings_(std::move(settings)), host_(std::move(host)), features_(std::move(features)),
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
    owners_[attached.record.host_ifindex] = spec.id;
    return attached;
}

Result<void> Engine::change(Attached& attached, const Rates& rates) {
    const auto before = attached.record.rates();
    // Before the first step, because it can fail.
    std::optional<PodSide> pod;
    for (const auto direction : directions) {
        if (pod || !needs_pod_side(attached.record, direction, rates.of(direction))) continue;
        auto entered = enter(attached.record);
        if (!entered) return entered.error();
        pod.emplace(*std::move(entered));
    }
    auto* const side = pod ? &*pod : nullptr;
    for (const auto direction : directions) {
        auto changed = set_direction(attached, direction, rates.of(direction), side);
        if (changed) continue;
        for (const auto undo : directions)
            if (auto r = set_direction(attached, undo, before.of(undo), side); !r)
                log::error(concat(attached.record.id, ": restore ", to_string(undo), " limit: ", r.error().what));
        return changed;
    }
    return {};
}

// Qdiscs of the pod's side are reached through its namespace; programs through their mapped state.
bool Engine::needs_pod_side(const AttachmentRecord& record, Direction direction,
                            const std::optional<Rate>& rate) const {
    const auto& now = record.of(direction);
    if (now && rate) return now->pod_side && now->shaper == Shaper::htb && now->rate != *rate;
    if (now) return now->pod_side;
    // Which shaper it will be is not known yet; the forced one is.
    return rate && direction == Direction::egress && settings_.shaper != Shaper::police;
}

Result<void> Engine::set_direction(Attached& attached, Direction direction, const std::optional<Rate>& rate,
                                   PodSide* pod) {
    const auto& now = attached.record.of(direction);
    if (now && rate) return now->rate == *rate ? Result<void>() : retune(attached, direction, *rate, pod);
    if (rate) return start(attached, direction, *rate, pod);
    if (now) return stop(attached, direction, pod);
    return {};
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
    auto ready = instance->pin(pins(record.id), std::string(to_string(direction)));
    if (ready) ready = add_shaper_qdisc(where.netlink, where.ifindex, shaper, rate, config);
    if (!ready) {
        remove_direction_pins(record.id, direction);
        return ready;
    }
    const auto& other = record.of(direction == Direction::ingress ? Direction::egress : Direction::ingress);
    const bool clsact_is_ours = other && other->pod_side == pod_side && other->hook.made_clsact;
    auto hook = attach_hook(where, instance->prog_fd(), settings_.attach_mode, features_.tcx, clsact_is_ours);
    if (!hook) {
        (void)remove_shaper_qdisc(where.netlink, where.ifindex, shaper);
        remove_direction_pins(record.id, direction);
        return hook.error();
    }
    hook->record.made_clsact = hook->record.made_clsact || (clsact_is_ours && hook->record.kind == HookKind::clsact);
    record.of(direction) = ShapingRecord{
        .rate = rate, .shaper = shaper, .pod_side = pod_side, .hook = hook->record, .reason = std::move(hook->reason)};
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
        const bool keep_clsact = other && other->pod_side == shaping.pod_side && other->hook.kind == HookKind::clsact;
        note(detach_hook(where, shaping.hook, keep_clsact));
        note(remove_shaper_qdisc(where.netlink, where.ifindex, shaping.shaper));
    }
    remove_direction_pins(record.id, direction);
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
        if (auto r = where.netlink.change_htb(where.ifindex, htb_shape(rate, config)); !r) {
            // Some classes may have the new rate already.
            const auto old = config_for(shaping.rate, shaping.shaper, direction);
            (void)where.netlink.change_htb(where.ifindex, htb_shape(shaping.rate, old));
            return r;
        }
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
    const auto wanted = config_for(shaping.rate, shaping.shaper, direction);
    if (std::memcmp(&attached.instance(direction)->config(), &wanted, sizeof wanted) != 0)
        return fail(Code::mismatch, "Rate doesn't match: ", to_string(direction), " at ",
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
    if (const auto owner = owners_.find(attached.record.host_ifindex);
        owner != owners_.end() && owner->second == attached.record.id)
        owners_.erase(owner);
    if (first) return *first;
    return {};
}

Result<Attached> Engine::adopt(const AttachmentRecord& recorded) {
    const auto living = alive(recorded);
    if (!living) return living.error();
    if (!*living) return fail(Code::no_device, recorded.host_device, " (ifindex ", recorded.host_ifindex, ") is gone");
    Attached attached{.record = recorded};
    std::optional<PodSide> pod;
    if (auto entered = enter(recorded)) pod.emplace(*std::move(entered));
    std::optional<Error> last;
    for (const auto direction : directions) {
        if (!recorded.of(direction)) continue;
        auto adopted = adopt_direction(attached, direction, pod ? &*pod : nullptr);
        if (adopted) continue;
        log::error(concat(recorded.id, ": ", to_string(direction), " limit is lost: ", adopted.error().what));
        attached.record.of(direction).reset();
        attached.instance(direction).reset();
        last = adopted.error();
    }
    if (last && !attached.record.ingress && !attached.record.egress) return *last;
    owners_[recorded.host_ifindex] = recorded.id;
    return attached;
}

Result<void> Engine::adopt_direction(Attached& attached, Direction direction, PodSide* pod) {
    const auto& record = attached.record;
    const auto shaping = *record.of(direction);
    auto instance = Instance::adopt(pins(record.id), std::string(to_string(direction)));
    if (instance) attached.instance(direction) = std::make_shared<Instance>(*std::move(instance));
    // The pod's side cannot be looked at without its namespace; what is pinned there stays.
    if (shaping.pod_side && pod == nullptr) {
        if (instance) return {};
        return fail(Code::no_device, "network namespace ", record.netns_path, " cannot be entered");
    }
    if (instance) {
        // First, because a natrad that died between a change and its record left other rates here.
        auto sound = retune(attached, direction, shaping.rate, pod);
        if (sound) sound = verify(attached, direction, pod);
        if (sound) return {};
        log::warning(concat(record.id, ": repairing ", to_string(direction), ": ", sound.error().what));
    } else {
        log::warning(concat(record.id, ": renewing ", to_string(direction), ": ", instance.error().what));
    }
    (void)stop(attached, direction, pod);
    if (auto r = files::make_directory(pins(record.id)); !r) return r;
    return start(attached, direction, shaping.rate, pod);
}

Result<bool> Engine::alive(const AttachmentRecord& record) {
    const auto link = host_.link_by_index(record.host_ifindex);
    if (!link && link.error().code == Code::no_device) return false;
    if (!link) return link.error();
    // Not by name: an administrator may rename the device.
    return link->kind == "veth" && link->peer_ifindex == record.pod_ifindex;
}

Result<bool> Engine::same_device(const AttachmentRecord& record, int netns_fd, const std::string& device) {
    const auto id = netns_id(netns_fd);
    if (!id) return id.error();
    const auto living = alive(record);
    if (!living) return living.error();
    if (*id != record.netns || !*living) return false;
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

void Engine::remove_direction_pins(const std::string& id, Direction direction) {
    for (const char* const what : {"_link", "_prog", "_state"})
        if (auto r = files::remove(concat(pins(id), "/", to_string(direction), what)); !r) log::warning(r.error().what);
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
    if (*id != record.netns) return fail(Code::no_device, record.netns_path, " is another network namespace now");
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
    const auto owner = owners_.find(outside->ifindex);
    if (owner != owners_.end() && owner->second != spec.id)
        return fail(Code::already_exists, "interface ", spec.device, " is limited already, as attachment ",
                    owner->second);
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
