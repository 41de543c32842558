// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/engine.hpp"

#include <linux/magic.h>
#include <sys/vfs.h>

#include <cerrno>
#include <filesystem>

#include "daemon/datapath/placement.hpp"
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
    return std::unique_ptr<Engine>(new Engine(std::move(settings), *std::move(host), std::move(features)));
}

Engine::Engine(EngineSettings settings, Netlink host, Features features)
    : settings_(std::move(settings)), bpffs_(parent_of(settings_.pin_root)), host_(std::move(host)),
      features_(std::move(features)), pool_(settings_.pool_size) {}

Result<Attached> Engine::attach(const AttachSpec& spec) {
    auto pod = enter(spec.netns_fd);
    if (!pod) return pod.error();
    Attached attached;
    attached.record.id = spec.id;
    attached.record.netns_path = spec.netns_path;
    attached.record.wish = spec.wish;
    attached.record.subnets = spec.subnets;
    if (auto r = find_devices(attached.record, *pod, spec); !r) return r.error();
    const auto stock = limited_by_stock(attached.record, spec);
    if (!stock) return stock.error();
    remove_pins(spec.id);
    if (auto r = files::make_directory(pins(spec.id)); !r) return r.error();
    auto started = *stock ? take_over_from_stock(attached, spec, &*pod) : start_all(attached, spec, &*pod);
    if (!started) {
        for (const auto undo : directions)
            if (attached.record.of(undo)) (void)stop(attached, undo, &*pod);
        remove_pins(spec.id);
        return started.error();
    }
    owners_[key_of(attached.record)] = owner_of(attached.record);
    learn_nsid(attached, *pod);
    return attached;
}

Result<void> Engine::start_all(Attached& attached, const AttachSpec& spec, PodSide* pod) {
    for (const auto direction : directions) {
        if (!spec.rates.of(direction) || !obstacle(attached.record, direction).empty()) continue;
        if (auto r = start(attached, direction, *spec.rates.of(direction), pod); !r) return r;
    }
    return {};
}

Result<void> Engine::change(Attached& attached, const Rates& rates) {
    const auto before = attached.record.rates();
    // Before the first step, because it can fail.
    std::optional<PodSide> pod;
    for (const auto direction : directions) {
        if (pod || !needs_pod_side(attached, direction, rates.of(direction))) continue;
        auto entered = enter(attached.record);
        if (!entered) {
            restore(attached, before, nullptr);
            return entered.error();
        }
        pod.emplace(*std::move(entered));
    }
    auto* const side = pod ? &*pod : nullptr;
    for (const auto direction : directions) {
        auto changed = set_direction(attached, direction, rates.of(direction), side);
        if (changed) continue;
        restore(attached, before, side);
        return changed;
    }
    return {};
}

void Engine::restore(Attached& attached, const Rates& before, PodSide* pod) {
    for (const auto direction : directions)
        if (auto r = set_direction(attached, direction, before.of(direction), pod); !r)
            log::error(concat(attached.record.id, ": restore ", to_string(direction), " limit: ", r.error().what));
    // Limits again the directions that prepare_change() opened, also where the pod cannot be entered.
    refresh(attached);
}

Result<void> Engine::detach(const Attached& attached) {
    Attached gone = attached;
    std::optional<PodSide> pod;
    if (auto entered = enter(attached.record)) pod.emplace(*std::move(entered));
    std::optional<Error> first;
    for (const auto direction : directions) {
        if (!gone.record.of(direction)) continue;
        if (!pod && gone.record.of(direction)->pod_side) pass_all(gone, direction);
        if (auto r = stop(gone, direction, pod ? &*pod : nullptr); !r && !first) first = r.error();
    }
    remove_pins(attached.record.id);
    if (const auto owner = owners_.find(key_of(attached.record));
        owner != owners_.end() && owner->second.id == attached.record.id)
        owners_.erase(owner);
    if (first) return *first;
    return {};
}

// Where the pod cannot be entered the program stays on a device that may outlive the attachment.
void Engine::pass_all(const Attached& attached, Direction direction) {
    if (const auto& instance = attached.instance(direction)) return instance->configure({});
    if (auto pinned = Instance::adopt(pins(attached.record.id), std::string(to_string(direction))))
        pinned->configure({});
}

std::vector<std::string> Engine::pinned() const { return files::list(settings_.pin_root); }

void Engine::remove_pins(const std::string& id) {
    std::error_code error;
    std::filesystem::remove_all(pins(id), error);
    if (error) log::warning(concat("remove ", pins(id), ": ", error.message()));
}

std::string Engine::pins(const std::string& id) const { return concat(settings_.pin_root, "/", id); }

}  // namespace natra::datapath
