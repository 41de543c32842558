// SPDX-License-Identifier: Apache-2.0
// The operator's interface over HTTP: answers requests from the registry.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "api/answer_cache.hpp"
#include "api/entity_tag.hpp"
#include "api/http_server.hpp"
#include "api/metrics.hpp"
#include "api/pod_json.hpp"
#include "api/routes.hpp"
#include "daemon/pods/registry.hpp"
#include "daemon/util/event_loop.hpp"

namespace natra::api {

using Troubles = std::function<std::vector<std::string>()>;  // as dbus::Service has it

struct ServiceSettings {
    std::size_t max_connections = 128;
    std::size_t metrics_pods = 1000;  // attachments with series of their own
};

// Returns the change to limits that are `now`, or the problem with it. Called on the core thread.
using ReadEdit = std::function<std::variant<pods::LimitsEdit, Response>(const Json& now)>;

// Made and destroyed on the core thread. Its workers never touch the registry: they have the core thread copy what
// they need, and wait for that. They do not wait for changes, which the kernel may delay: the core thread answers
// those.
class Service {
public:
    // All references must outlive the service and the core's last task. Throws as HttpServer does.
    Service(EventLoop& core, pods::Registry& registry, const datapath::Engine& engine, Troubles troubles,
            const ServiceSettings& settings, std::vector<Listener> listeners);
    ~Service();

    // After core.run(): no new connections; runs core's tasks until requests under way are answered, seconds at most.
    void drain();

private:
    using Found = std::variant<PodFacts, Response>;

    SharedResponse handle(const Request& request, const Caller& caller, const HttpServer::Later& later);
    // Answers a request of a route that reads.
    Response answer(const Match& match, const Request& request);
    Response health();
    Response status();
    Response metrics();
    Response list(const Match& match);
    // The same, or what another request was answered a moment ago: figures may be as old as that, limits not.
    SharedResponse recent(const Match& match, bool zip, const std::function<Response()>& make);
    Response pod(const Match& match);
    Response get_limits(const Match& match, const Request& request);
    Response flows(const Match& match);
    // Returns the problem with the request. Without one the change has begun, and `later` is called with its result.
    std::optional<Response> write(const Match& match, const Request& request, const Caller& caller,
                                  const HttpServer::Later& later);
    // On the core thread.
    void edit_limits(const std::string& id, const ReadEdit& read_edit, const std::string& who,
                     const Preconditions& conditions, const Request& request, const HttpServer::Later& later);
    // A copy of the attachment that is meant.
    Found find(const Match& match);
    void count(const Request& request, int status);

    EventLoop& core_;
    pods::Registry& registry_;
    const datapath::Engine& engine_;
    const Troubles troubles_;
    const ServiceSettings settings_;
    const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
    std::mutex mutex_;  // guards requests_
    RequestCounts requests_;
    AnswerCache recent_;
    std::unique_ptr<HttpServer> server_;  // last: its workers use the rest
};

}  // namespace natra::api
