// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "daemon/config/load.hpp"
#include "daemon/pods/registry.hpp"
#include "daemon/util/event_loop.hpp"

namespace natra {

// Logs the errors of a configuration, and that the earlier one stays in force.
void log_refused_reload(const config::Loaded& loaded);

// SIGHUP: reads the configuration again and puts in force what can be without a restart. A configuration
// with errors changes nothing. Speaks systemd's Type=notify-reload. Core thread only.
class Reloader {
public:
    // Before threads start: from here on SIGHUP does not end the process. running: what is in force.
    Reloader(EventLoop& core, config::Sources sources, config::Configuration running);

    // Now there is something to reload; a signal that came earlier is carried out.
    void start(pods::Registry& registry);

private:
    void signalled();
    void reload();
    void finished();

    const config::Sources sources_;
    config::Configuration running_;
    pods::Registry* registry_ = nullptr;
    bool under_way_ = false;
    bool again_ = false;
};

}  // namespace natra
