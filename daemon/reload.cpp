// SPDX-License-Identifier: Apache-2.0
#include "daemon/reload.hpp"

#include <signal.h>
#include <systemd/sd-daemon.h>

#include "daemon/pods/spool.hpp"
#include "daemon/util/clock.hpp"
#include "daemon/util/log.hpp"

namespace natra {
namespace {

void tell_reloading() {
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", static_cast<unsigned long long>(monotonic_us()));
}

}  // namespace

void log_refused_reload(const config::Loaded& loaded) {
    for (const auto& error : loaded.errors) log::error(concat("configuration: ", error));
    log::write(log::Level::error, log::events::configuration_refused,
               "the configuration was not reloaded: the earlier one stays in force");
}

Reloader::Reloader(EventLoop& core, config::Sources sources, config::Configuration running)
    : sources_(std::move(sources)), running_(std::move(running)) {
    core.on_signal(SIGHUP, "reload", [this] { signalled(); });
}

void Reloader::start(pods::Registry& registry) {
    registry_ = &registry;
    if (again_) reload();
}

void Reloader::signalled() {
    if (registry_ == nullptr || under_way_) {
        again_ = true;
        return;
    }
    reload();
}

void Reloader::reload() {
    under_way_ = true;
    again_ = false;
    tell_reloading();
    auto loaded = config::load(sources_);
    for (const auto& unknown : loaded.unknown) log::warning(unknown);
    if (!loaded.errors.empty()) {
        log_refused_reload(loaded);
        return finished();
    }
    auto& wanted = loaded.configuration;
    for (const auto& path : config::needing_restart(running_, wanted))
        log::warning(concat(path, " has changed: in force when natrad is restarted"));
    // What waits for a restart is compared with what runs, next time too.
    wanted.runtime_dir = running_.runtime_dir;
    wanted.spool_dir = running_.spool_dir;
    wanted.bpffs_dir = running_.bpffs_dir;
    wanted.pool_size = running_.pool_size;
    wanted.chain = running_.chain;
    wanted.adoption = running_.adoption;
    wanted.api = running_.api;
    running_ = wanted;
    log::set_level(running_.log_level);
    // First: a pod that starts in between is told of under the new rules.
    if (auto r = pods::ask_for_every_pod(config::spool_dir_of(running_), running_.limits.rules.any()); !r)
        log::error(r.error().what);
    registry_->reconfigure(config::registry_settings(running_), config::engine_settings(running_).heavy, [this] {
        log::write(log::Level::info, log::events::configuration_reloaded, "configuration reloaded");
        finished();
    });
}

void Reloader::finished() {
    under_way_ = false;
    sd_notify(0, "READY=1");
    if (again_) reload();
}

}  // namespace natra
