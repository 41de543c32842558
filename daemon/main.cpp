// SPDX-License-Identifier: Apache-2.0
// natrad: wires the parts together and runs the core loop.
#include <systemd/sd-daemon.h>

#include <cstdlib>
#include <cstring>
#include <iostream>
#include <vector>

#include "daemon/datapath/link_monitor.hpp"
#include "daemon/pods/spool.hpp"
#include "daemon/settings.hpp"
#include "daemon/util/log.hpp"
#include "dbus/service.hpp"

namespace {

using namespace natra;

// Devices that vanish without a DEL: their attachments must not stay in the books.
void watch_devices(EventLoop& core, int monitor, pods::Registry& registry) {
    core.on_readable(monitor, "link monitor", [monitor, &registry] {
        const auto news = datapath::read_link_events(monitor);
        for (const auto& event : news.events)
            if (event.deleted) registry.device_deleted(event.ifindex);
        if (news.lost) registry.drop_dead();
    });
}

int run() {
    auto settings = settings_from_environment();
    if (!settings) {
        log::error(settings.error().what);
        return EXIT_FAILURE;
    }
    EventLoop core;  // before the threads: it blocks the signals that it handles
    auto engine = datapath::Engine::create(settings->engine);
    if (!engine) {
        log::error(engine.error().what);
        return EXIT_FAILURE;
    }
    auto monitor = datapath::open_link_monitor();
    if (!monitor) {
        log::error(monitor.error().what);
        return EXIT_FAILURE;
    }
    // Joined before the registry, to which its tasks refer, and after the bus, to which they do not.
    std::unique_ptr<Worker> worker = std::make_unique<Worker>("natra-kernel");
    pods::Registry registry(settings->registry, core, *worker, **engine);
    pods::Spool spool(settings->spool_dir, core, registry);
    dbus::Service service(core, registry, **engine);

    watch_devices(core, monitor->get(), registry);
    registry.adopt([&] {
        service.publish();
        spool.start();
        sd_notify(0, "READY=1");
        log::info(concat("natrad ", NATRA_VERSION, " ready on kernel ", (*engine)->features().kernel, " with ",
                         registry.pods().size(), " attachments"));
    });
    core.run();
    sd_notify(0, "STOPPING=1");
    worker.reset();
    return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 2 && std::strcmp(argv[1], "--version") == 0) {
        std::cout << "natrad " NATRA_VERSION "\n";
        return EXIT_SUCCESS;
    }
    if (argc > 1) {
        std::cerr << "usage: natrad [--version]\nnatrad is configured by its environment, see natrad(8).\n";
        return 2;
    }
    if (std::getenv("NATRA_DEBUG") != nullptr) log::set_level(log::Level::debug);
    try {
        return run();
    } catch (const std::exception& e) {
        log::error(concat("natrad: ", e.what()));
        return EXIT_FAILURE;
    }
}
