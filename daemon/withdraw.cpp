// SPDX-License-Identifier: Apache-2.0
#include "daemon/withdraw.hpp"

#include <cstdlib>
#include <memory>
#include <vector>

#include "daemon/chain/keeper.hpp"
#include "daemon/datapath/engine.hpp"
#include "daemon/finish_operations.hpp"
#include "daemon/pods/registry.hpp"
#include "daemon/pods/spool.hpp"
#include "daemon/runtime_lock.hpp"
#include "daemon/util/event_loop.hpp"
#include "daemon/util/files.hpp"
#include "daemon/util/log.hpp"
#include "daemon/util/worker.hpp"

namespace natra {
namespace {

// Whether nothing is left of natra's in the kernel.
bool lift_all(const config::Configuration& configuration) {
    EventLoop core;
    auto settings = config::engine_settings(configuration);
    settings.pool_size = 0;
    auto engine = datapath::Engine::create(settings);
    if (!engine) {
        log::error(engine.error().what);
        return false;
    }
    Worker worker("natra-kernel");
    pods::Registry registry(config::registry_settings(configuration), core, worker, **engine);
    const FinishOperations finish(core, worker);
    auto left = std::make_shared<std::size_t>(0);
    registry.adopt([&, left] {
        std::vector<pods::AttachmentName> names;
        for (const auto& [id, pod] : registry.pods())
            names.push_back({.container_id = pod.request.container_id,
                             .interface_name = pod.request.interface_name,
                             .network = pod.request.network});
        *left = names.size();
        if (names.empty()) return core.stop();
        for (const auto& name : names)
            registry.detach_for(name, "natra is removed from this node", [&core, left](const Result<void>&) {
                if (--*left == 0) core.stop();
            });
    });
    const int status = core.run();
    worker.wait_idle();
    // Of what could not be adopted, or not detached, the pins or the records are left.
    const auto pinned = (*engine)->pinned().size();
    const auto unknown = registry.statistics().adoptions.failed;
    if (pinned != 0 || unknown != 0 || *left != 0)
        log::error(concat("limits stay: ", pinned, " are pinned, ", unknown, " could not be adopted, ", *left,
                          " were not finished"));
    return status == 0 && pinned == 0 && unknown == 0 && *left == 0;
}

}  // namespace

int withdraw(const config::Sources& sources) {
    const auto loaded = config::load(sources);
    // What is wrong in the configuration must not keep a package from being removed: the rest of it holds.
    for (const auto& error : loaded.errors) log::warning(concat("configuration: ", error));
    const auto& configuration = loaded.configuration;
    const auto lock = lock_runtime_dir(configuration.runtime_dir);
    if (!lock) {
        log::error(lock.error().what);
        return EXIT_FAILURE;
    }
    if (auto r = pods::ask_for_every_pod(config::spool_dir_of(configuration), false); !r) log::warning(r.error().what);
    chain::Keeper keeper(configuration.chain);
    keeper.remove_unfinished();
    keeper.release();
    int status = keeper.problems().empty() ? EXIT_SUCCESS : EXIT_FAILURE;
    if (files::list(config::registry_settings(configuration).state_dir).empty() &&
        files::list(configuration.bpffs_dir).empty())
        return status;
    if (!lift_all(configuration)) status = EXIT_FAILURE;
    return status;
}

}  // namespace natra
