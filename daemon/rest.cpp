// SPDX-License-Identifier: Apache-2.0
#include "daemon/rest.hpp"

#include "api/listeners.hpp"
#include "daemon/util/log.hpp"

namespace natra {

Rest::Rest(const config::Configuration& configuration)
    : settings_{.max_connections = configuration.api.max_connections, .metrics_pods = configuration.api.metrics_pods} {
    auto activated = api::activated_listeners();
    if (activated)
        listeners_ = *std::move(activated);
    else
        failed(activated.error().what);
    const auto& path = configuration.api.socket;
    if (path.empty()) return;
    auto own = api::listen_at(path, configuration.api.group);
    if (own)
        listeners_.push_back(*std::move(own));
    else
        failed(own.error().what);
}

void Rest::start(EventLoop& core, pods::Registry& registry, const datapath::Engine& engine, api::Troubles troubles) {
    if (listeners_.empty()) return;
    try {
        service_ = std::make_unique<api::Service>(core, registry, engine, std::move(troubles), settings_,
                                                  std::move(listeners_));
    } catch (const std::exception& e) {
        failed(e.what());
    }
}

void Rest::drain() {
    if (service_) service_->drain();
}

void Rest::failed(const std::string& what) {
    log::error(concat("REST: ", what));
    problems_.push_back(concat("no REST interface: ", what));
}

}  // namespace natra
