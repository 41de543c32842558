// SPDX-License-Identifier: Apache-2.0
// natrad: wires the parts together and runs the core loop.
#include <systemd/sd-daemon.h>

#include <cstdlib>
#include <cstring>
#include <iostream>
#include <vector>

#include "daemon/chain/watch.hpp"
#include "daemon/check_config.hpp"
#include "daemon/datapath/link_monitor.hpp"
#include "daemon/datapath/tc_monitor.hpp"
#include "daemon/finish_operations.hpp"
#include "daemon/pods/accuracy.hpp"
#include "daemon/pods/running_pods.hpp"
#include "daemon/pods/spool.hpp"
#include "daemon/reload.hpp"
#include "daemon/rest.hpp"
#include "daemon/runtime_lock.hpp"
#include "daemon/util/clock.hpp"
#include "daemon/util/log.hpp"
#include "daemon/withdraw.hpp"
#include "dbus/service.hpp"

namespace {

using namespace natra;

// How late natrad may notice the end of an interface that no device of the host's tells of.
constexpr std::uint64_t sweep_period_usec = 5 * EventLoop::second_usec;
// How late it may notice that somebody else has begun to limit its pods.
constexpr std::uint64_t survey_period_usec = 10 * EventLoop::second_usec;

// Devices that vanish without a DEL: their attachments must not stay in the books.
void watch_devices(EventLoop& core, int monitor, pods::Registry& registry) {
    core.on_readable(monitor, "link monitor", [monitor, &registry] {
        const auto news = datapath::read_link_events(monitor);
        for (const auto& event : news.events)
            if (event.deleted) registry.device_deleted(event.ifindex);
        if (news.lost) registry.drop_dead();
    });
    core.every(sweep_period_usec, "sweep", [&registry] { registry.sweep(); });
}

// How late it may notice that it takes many flows for what they are not.
constexpr std::uint64_t accuracy_period_usec = 10 * EventLoop::second_usec;
constexpr std::uint64_t idle_cells_period_usec = 60 * EventLoop::second_usec;

// Limits that somebody takes away or gets around.
void watch_limits(EventLoop& core, datapath::TcMonitor& monitor, const datapath::Engine& engine,
                  pods::Registry& registry) {
    core.on_readable(monitor.fd(), "tc monitor",
                     [&monitor, port = engine.host_port(), &registry] { registry.tc_changed(monitor.read(port)); });
    core.every(EventLoop::second_usec, "audit", [&registry] { registry.audit(); });
    core.every(survey_period_usec, "other limiters", [&registry] { registry.survey(); });
}

void renew_idle_cells(EventLoop& core, const pods::Registry& registry) {
    core.every(idle_cells_period_usec, "idle cells", [&registry] {
        for (const auto& [id, pod] : registry.pods())
            for (const auto direction : datapath::directions)
                if (const auto& instance = pod.kernel.instance(direction); instance != nullptr)
                    instance->renew_idle_cells();
    });
}

void watch_accuracy(EventLoop& core, const pods::Registry& registry, pods::AccuracyWatch& accuracy) {
    core.every(accuracy_period_usec, "accuracy",
               [&registry, &accuracy] { accuracy.look(registry.pods(), monotonic_us()); });
}

int run() {
    const auto sources = config::sources_from_environment();
    const auto loaded = config::load(sources);
    const auto& configuration = loaded.configuration;
    log::set_level(configuration.log_level);
    for (const auto& unknown : loaded.unknown) log::warning(unknown);
    for (const auto& error : loaded.errors) log::error(concat("configuration: ", error));
    if (!loaded.errors.empty()) return EXIT_FAILURE;
    const auto lock = lock_runtime_dir(configuration.runtime_dir);
    if (!lock) {
        log::error(lock.error().what);
        return EXIT_FAILURE;
    }
    EventLoop core;  // before the threads: it blocks the signals that it handles
    Reloader reloader(core, sources, configuration);
    auto engine = datapath::Engine::create(config::engine_settings(configuration));
    if (!engine) {
        log::error(engine.error().what);
        return EXIT_FAILURE;
    }
    auto monitor = datapath::open_link_monitor();
    if (!monitor) {
        log::error(monitor.error().what);
        return EXIT_FAILURE;
    }
    for (const auto& sentence : pods::impossible_on((*engine)->features(), configuration.data_path))
        log::warning(sentence);
    auto tc_monitor = datapath::TcMonitor::open();
    if (!tc_monitor) {
        log::error(tc_monitor.error().what);
        return EXIT_FAILURE;
    }
    Worker worker("natra-kernel");
    pods::Registry registry(config::registry_settings(configuration), core, worker, **engine);
    pods::Spool spool(config::spool_dir_of(configuration), core, registry);
    pods::RunningPods running_pods(configuration.adoption, core, registry);
    chain::Keeper keeper(configuration.chain);
    chain::Watch chain_watch(core, keeper);
    Rest rest(configuration);
    pods::AccuracyWatch accuracy;
    const auto troubles = [&keeper, &rest, &accuracy, &registry] {
        auto out = keeper.problems();
        out.insert(out.end(), rest.problems().begin(), rest.problems().end());
        for (auto& sentence : accuracy.problems(registry.pods())) out.push_back(std::move(sentence));
        return out;
    };
    dbus::Service service(core, registry, **engine, configuration.api.group, troubles);
    const FinishOperations finish(core, worker);

    watch_devices(core, monitor->get(), registry);
    watch_limits(core, *tc_monitor, **engine, registry);
    watch_accuracy(core, registry, accuracy);
    renew_idle_cells(core, registry);
    core.every(EventLoop::second_usec, "log", [] { log::flush_due(); });
    registry.adopt([&] {
        try {
            service.publish();
        } catch (const std::exception& e) {
            log::error(concat("cannot take the bus name: ", e.what()));
            return core.stop(EXIT_FAILURE);
        }
        rest.start(core, registry, **engine, troubles);
        spool.start();
        chain_watch.start();
        running_pods.start();
        sd_notify(0, "READY=1");
        reloader.start(registry);
        core.every(EventLoop::second_usec, "degradation", [&service] { service.look_for_degradation(); });
        log::write(log::Level::info, log::events::ready,
                   concat("natrad ", NATRA_VERSION, " ready on kernel ", (*engine)->features().kernel, " with ",
                          registry.pods().size(), registry.pods().size() == 1 ? " attachment" : " attachments"));
    });
    const int status = core.run();
    sd_notify(0, "STOPPING=1");
    running_pods.stop();
    rest.drain();
    return status;
}

constexpr const char* usage =
    "usage: natrad [--help | --version | --check-config [FILE] | --withdraw]\n"
    "\n"
    "Holds the pods of this node to their bandwidth. Without arguments: runs, as natrad.service.\n"
    "\n"
    "  --check-config [FILE]  every problem of the configuration (exit status 1), or all values in force\n"
    "  --withdraw             undoes what natrad has done on this node, for the removal of its package\n"
    "\n"
    "natrad is configured by /etc/natra/natrad.json, /etc/natra/natrad.d/*.json and its environment,\n"
    "and asked by busctl and curl: see natrad(8), natrad.json(5), io.natra.Natrad1(5), natrad-api(5).\n";

}  // namespace

int main(int argc, char** argv) {
    if (argc == 2 && (std::strcmp(argv[1], "--help") == 0 || std::strcmp(argv[1], "-h") == 0)) {
        std::cout << usage;
        return EXIT_SUCCESS;
    }
    if (argc == 2 && std::strcmp(argv[1], "--version") == 0) {
        std::cout << "natrad " NATRA_VERSION "\n";
        return EXIT_SUCCESS;
    }
    const log::FlushAtEnd flush;
    try {
        if (argc >= 2 && argc <= 3 && std::strcmp(argv[1], "--check-config") == 0) {
            auto sources = config::sources_from_environment();
            sources.file_required = argc == 3;
            if (argc == 3) sources.file = argv[2];
            return check_config(sources);
        }
        if (argc == 2 && std::strcmp(argv[1], "--withdraw") == 0) return withdraw(config::sources_from_environment());
        if (argc > 1) {
            std::cerr << usage;
            return 2;
        }
        return run();
    } catch (const std::exception& e) {
        log::error(concat("natrad: ", e.what()));
        return EXIT_FAILURE;
    }
}
