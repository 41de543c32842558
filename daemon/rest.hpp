// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "api/service.hpp"
#include "daemon/config/configuration.hpp"

namespace natra {

// The REST interface as a part that natrad can do without: what keeps it from listening is
// logged and told as a trouble, and pods get their limits all the same. Core thread only.
class Rest {
public:
    // Takes the sockets that systemd hands over, and makes the configuration's own.
    explicit Rest(const config::Configuration& configuration);

    // Answers from now on, if there is a socket. References as api::Service has them.
    void start(EventLoop& core, pods::Registry& registry, const datapath::Engine& engine, api::Troubles troubles);
    // After core.run(), before other parts go.
    void drain();

    [[nodiscard]] const std::vector<std::string>& problems() const { return problems_; }

private:
    void failed(const std::string& what);

    const api::ServiceSettings settings_;
    std::vector<api::Listener> listeners_;
    std::vector<std::string> problems_;
    std::unique_ptr<api::Service> service_;
};

}  // namespace natra
