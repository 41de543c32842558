// SPDX-License-Identifier: Apache-2.0
#include "api/service.hpp"

#include <algorithm>

#include "api/core_call.hpp"
#include "api/gzip.hpp"
#include "api/host_check.hpp"
#include "api/limits_patch.hpp"
#include "api/openapi.hpp"
#include "api/problem.hpp"
#include "api/query.hpp"
#include "api/selector.hpp"
#include "api/text.hpp"
#include "daemon/pods/degraded.hpp"
#include "daemon/util/log.hpp"

namespace natra::api {
namespace {

constexpr std::chrono::milliseconds read_time{5000};
// A change waits for the kernel, and for changes of the same attachment before it.
constexpr std::chrono::milliseconds write_time{15000};
constexpr std::chrono::milliseconds drain_time{5000};
// Of counters in answers about many pods. Operators' eyes and scrapes are slower.
constexpr std::chrono::milliseconds figures_age{100};
constexpr std::size_t recent_answers = 4;

constexpr std::uint64_t default_page = 100;
constexpr std::uint64_t largest_page = 500;
constexpr std::uint64_t default_flows = 10;

Response core_is_late() { return problem(503, "natrad's core did not answer in time"); }

// Of a document that limits_json() made: of what holds, is overridden and was asked for. Not of who made the last
// change and when: that may have been to the data path.
std::string tag_of(const Json& limits) {
    return entity_tag(concat(limits.at("ingress").dump(), limits.at("egress").dump()));
}

Response with_tag(const Json& limits, std::string tag) {
    auto out = json_response(limits);
    out.headers.emplace_back("ETag", std::move(tag));
    return out;
}

Response with_tag(const pods::Pod& pod) {
    const auto limits = limits_json(pod);
    return with_tag(limits, tag_of(limits));
}

// Takes milliseconds to make.
bool is_about_all(Endpoint endpoint) { return endpoint == Endpoint::metrics || endpoint == Endpoint::pods; }
// Worth compressing.
bool is_long(Endpoint endpoint) { return is_about_all(endpoint) || endpoint == Endpoint::openapi; }

// The precondition in this header does not hold.
Response limits_are_others(std::string_view header, const std::string& value) {
    return wrong_value(412, header, value,
                       header == "if-match" ? "the limits are others by now" : "the limits are still these");
}

// "GET /v1/status" of HEAD, too; what is in no list is not to become a label of a metric.
std::string known_method(const std::string& method) {
    for (const auto& each : routes())
        if (each.method == method) return method;
    return method == "HEAD" ? method : "other";
}

Json page_json(const std::vector<PodFacts>& page, std::size_t total, bool more) {
    auto items = Json::array();
    for (const auto& each : page) items.push_back(pod_json(each));
    Json out = {{"total", total}};
    out["items"] = std::move(items);
    out["continue"] = more ? Json(page.back().pod.id) : Json();
    return out;
}

// Reads the change that a PATCH or a DELETE asks for.
std::variant<ReadEdit, Response> edit_of(Endpoint endpoint, const Request& request) {
    if (endpoint == Endpoint::limits_delete) return ReadEdit([](const Json&) { return pods::clear_edit(); });
    auto type = check_patch_type(request.header("content-type"));
    if (auto* wrong = std::get_if<Response>(&type)) return std::move(*wrong);
    auto patch = parse_limits_patch(request.body);
    if (auto* wrong = std::get_if<Response>(&patch)) return std::move(*wrong);
    return ReadEdit(
        [patch = std::get<Json>(std::move(patch))](const Json& now) { return read_limits_patch(patch, now); });
}

}  // namespace

Service::Service(EventLoop& core, pods::Registry& registry, const datapath::Engine& engine, Troubles troubles,
                 const ServiceSettings& settings, std::vector<Listener> listeners)
    : core_(core), registry_(registry), engine_(engine), troubles_(std::move(troubles)), settings_(settings),
      recent_(figures_age, recent_answers),
      server_(std::make_unique<HttpServer>(
          std::move(listeners),
          HttpSettings{.bounds = {.connections = settings.max_connections}, .answer_time = write_time},
          [this](const Request& request, const Caller& caller, const HttpServer::Later& later) {
              return handle(request, caller, later);
          },
          [this](const Request& request, int status) { count(request, status); })) {}

Service::~Service() = default;

void Service::drain() {
    if (!server_->drain(drain_time, [this] { core_.drain(); })) log::warning("REST: requests under way were dropped");
}

SharedResponse Service::handle(const Request& request, const Caller& caller, const HttpServer::Later& later) {
    const auto host = request.header("host");
    if (caller.loopback && !host.empty() && !is_local_host(host, own_hostname()))
        return shared(wrong_value(421, "host", host, "neither an address nor a name of this machine"));
    const auto found = find_route(request);
    if (const auto* wrong = std::get_if<Response>(&found)) return shared(*wrong);
    const auto& match = std::get<Match>(found);
    if (match.route->writes) {
        const auto wrong = write(match, request, caller, later);
        return wrong ? shared(*wrong) : nullptr;
    }
    const bool zip = accepts_gzip(request.header("accept-encoding"));
    const auto make = [&] {
        auto made = answer(match, request);
        if (!is_long(match.route->endpoint)) return made;
        made.headers.emplace_back("Vary", "Accept-Encoding");
        return zip ? gzipped(std::move(made)) : made;
    };
    return is_about_all(match.route->endpoint) ? recent(match, zip, make) : shared(make());
}

void Service::count(const Request& request, int status) {
    const auto found = find_route(request);
    const auto* const match = std::get_if<Match>(&found);
    // A Host that is refused leads to no route.
    const auto route = match != nullptr && status != 421 ? std::string(match->route->path) : "other";
    const std::lock_guard lock(mutex_);
    ++requests_[{route, known_method(request.method), status}];
}

Response Service::answer(const Match& match, const Request& request) {
    switch (match.route->endpoint) {
    case Endpoint::health: return health();
    case Endpoint::metrics: return metrics();
    case Endpoint::openapi: return {.content_type = "application/json", .body = std::string(openapi), .headers = {}};
    case Endpoint::status: return status();
    case Endpoint::pods: return list(match);
    case Endpoint::pod: return pod(match);
    case Endpoint::limits_get: return get_limits(match, request);
    case Endpoint::flows: return flows(match);
    case Endpoint::limits_patch:
    case Endpoint::limits_delete: break;
    }
    return problem(500, "a route without an answer");
}

Response Service::health() {
    const auto alive = ask_core(core_, read_time, [] { return true; });
    return alive ? json_response({{"status", "ok"}}) : core_is_late();
}

Response Service::status() {
    const auto document = ask_core(core_, read_time, [this] {
        const auto uptime =
            std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - started_);
        return Json{{"version", NATRA_VERSION},
                    {"kernel", engine_.features().kernel},
                    {"features", engine_.features().names()},
                    {"attachments", registry_.pods().size()},
                    {"poolReady", engine_.pool().ready()},
                    {"tamperEvents", registry_.tamper_events()},
                    {"leftToOthers", registry_.left_to_others()},
                    {"uptimeSeconds", uptime.count()},
                    {"degraded", pods::degraded(registry_, engine_, troubles_())}};
    });
    return document ? json_response(*document) : core_is_late();
}

SharedResponse Service::recent(const Match& match, bool zip, const std::function<Response()>& make) {
    const auto revision = ask_core(core_, read_time, [this] { return registry_.revision(); });
    if (!revision) return shared(core_is_late());
    std::string question = concat(zip ? "gzip " : "", match.route->path);
    // The length tells where a value ends, whatever is in it.
    for (const auto& [name, value] : match.query) question += concat("&", name, "=", value.size(), ":", value);
    return recent_.get(question, *revision, read_time, make);
}

Response Service::metrics() {
    auto node = ask_core(core_, read_time, [this] {
        NodeFigures out{.kernel = engine_.features().kernel,
                        .attachments = registry_.pods().size(),
                        .degraded = pods::degraded(registry_, engine_, troubles_()).size(),
                        .pool_ready = engine_.pool().ready(),
                        .tamper_events = registry_.tamper_events(),
                        .statistics = registry_.statistics()};
        out.pods.reserve(std::min<std::size_t>(out.attachments, settings_.metrics_pods));
        for (const auto& [id, pod] : registry_.pods()) {
            for (const auto direction : datapath::directions)
                if (const auto& shaping = pod.kernel.record.of(direction))
                    ++out.by_data_path[{std::string(to_string(direction)), std::string(to_string(shaping->hook.kind)),
                                        std::string(to_string(shaping->shaper))}];
            if (out.pods.size() < settings_.metrics_pods) out.pods.push_back(pod);
        }
        return out;
    });
    if (!node) return core_is_late();
    {
        const std::lock_guard lock(mutex_);
        node->requests = requests_;
    }
    // It is set: the core thread, which has answered, had left the constructor by then.
    node->http = server_->figures();
    return {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = metrics_text(*node), .headers = {}};
}

Response Service::list(const Match& match) {
    const auto limit = number_of(match.query, "limit", 1, largest_page, default_page);
    if (const auto* wrong = std::get_if<Response>(&limit)) return *wrong;
    struct Page {
        std::vector<PodFacts> pods;
        std::size_t total = 0;
        bool more = false;
    };
    const auto page = ask_core(core_, read_time, [this, query = match.query, most = std::get<std::uint64_t>(limit)] {
        const auto fits = [&query](const char* name, const std::string& value) {
            const auto wanted = query.find(name);
            return wanted == query.end() || wanted->second == value;
        };
        const auto after = text_of(query, "continue");
        Page out;
        out.pods.reserve(std::min<std::size_t>(registry_.pods().size(), most));
        for (const auto& [id, pod] : registry_.pods()) {
            const auto& request = pod.request;
            if (!fits("namespace", request.pod_namespace) || !fits("name", request.pod_name) ||
                !fits("interface", request.interface_name) || !fits("network", request.network))
                continue;
            ++out.total;
            if (id <= after) continue;
            if (out.pods.size() < most)
                out.pods.emplace_back(registry_, pod);
            else
                out.more = true;
        }
        return out;
    });
    return page ? json_response(page_json(page->pods, page->total, page->more)) : core_is_late();
}

Service::Found Service::find(const Match& match) {
    auto found =
        ask_core(core_, read_time, [this, name = match.pod, interface = text_of(match.query, "interface")]() -> Found {
            auto selected = select(registry_.pods(), name, interface);
            if (auto* wrong = std::get_if<Response>(&selected)) return std::move(*wrong);
            return PodFacts(registry_, *std::get<const pods::Pod*>(selected));
        });
    if (!found) return core_is_late();
    return *std::move(found);
}

Response Service::pod(const Match& match) {
    const auto found = find(match);
    if (const auto* wrong = std::get_if<Response>(&found)) return *wrong;
    return json_response(pod_json(std::get<PodFacts>(found)));
}

Response Service::get_limits(const Match& match, const Request& request) {
    const auto conditions = parse_preconditions(request);
    if (const auto* wrong = std::get_if<Response>(&conditions)) return *wrong;
    const auto found = find(match);
    if (const auto* wrong = std::get_if<Response>(&found)) return *wrong;
    const auto limits = limits_json(std::get<PodFacts>(found).pod);
    auto tag = tag_of(limits);
    const auto header = std::get<Preconditions>(conditions).failed_by(tag);
    if (header.empty()) return with_tag(limits, std::move(tag));
    if (header == "if-match") return limits_are_others(header, request.header(std::string(header)));
    return {.status = 304, .content_type = {}, .body = {}, .headers = {{"ETag", std::move(tag)}}};
}

Response Service::flows(const Match& match) {
    const auto top = number_of(match.query, "top", 1, NATRA_HEAVY_SLOTS, default_flows);
    if (const auto* wrong = std::get_if<Response>(&top)) return *wrong;
    std::optional<datapath::Direction> direction;
    if (const auto wanted = match.query.find("direction"); wanted != match.query.end()) {
        for (const auto each : datapath::directions)
            if (wanted->second == to_string(each)) direction = each;
        if (!direction) return wrong_value(400, "direction", wanted->second, "neither ingress nor egress");
    }
    const auto found = find(match);
    if (const auto* wrong = std::get_if<Response>(&found)) return *wrong;
    return json_response(flows_json(std::get<PodFacts>(found).pod, direction, std::get<std::uint64_t>(top)));
}

std::optional<Response> Service::write(const Match& match, const Request& request, const Caller& caller,
                                       const HttpServer::Later& later) {
    if (!caller.may_write)
        return problem(403, concat(caller.who, " may not change limits: that is for root, over natrad's own socket"));
    auto edit = edit_of(match.route->endpoint, request);
    if (auto* wrong = std::get_if<Response>(&edit)) return std::move(*wrong);
    auto conditions = parse_preconditions(request);
    if (auto* wrong = std::get_if<Response>(&conditions)) return std::move(*wrong);
    // Selection and change in one turn of the core thread: an attachment's end in between is a plain 404.
    core_.post_request([this, later, request, who = caller.who, edit = std::get<ReadEdit>(std::move(edit)),
                        conditions = std::get<Preconditions>(std::move(conditions)), name = match.pod,
                        interface = text_of(match.query, "interface")] {
        try {
            const auto selected = select(registry_.pods(), name, interface);
            if (const auto* wrong = std::get_if<Response>(&selected)) return later(shared(*wrong));
            const auto& target = *std::get<const pods::Pod*>(selected);
            log::debug(concat("REST: ", who, ": ", request.method, " limits of ", pods::describe(target)));
            edit_limits(target.id, edit, who, conditions, request, later);
        } catch (const std::exception& e) {
            log::error(concat("REST: ", request.method, ": ", e.what()));
            later(shared(own_error()));
        }
    });
    return std::nullopt;
}

void Service::edit_limits(const std::string& id, const ReadEdit& read_edit, const std::string& who,
                          const Preconditions& conditions, const Request& request, const HttpServer::Later& later) {
    const auto refusal = std::make_shared<std::optional<Response>>();
    const auto edit = [conditions, headers = request.headers, read_edit,
                       refusal](const pods::Pod& pod) -> Result<pods::LimitsEdit> {
        const auto now = limits_json(pod);
        const auto stale = conditions.failed_by(tag_of(now));
        auto read = stale.empty() ? read_edit(now) : limits_are_others(stale, headers.at(std::string(stale)));
        if (const auto* changes = std::get_if<pods::LimitsEdit>(&read)) return *changes;
        *refusal = std::get<Response>(std::move(read));
        return fail(Error::Code::mismatch, "the request does not fit the limits");
    };
    const auto result = [this, id, refusal](const Result<void>& done) {
        if (*refusal) return **refusal;
        const auto* const pod = registry_.find(id);
        if (!done) return wrong_limits(done.error());
        return pod == nullptr ? problem(404, "the attachment has ended") : with_tag(*pod);
    };
    registry_.edit_limits(id, edit, concat(who, " over REST"),
                          [result, later](const Result<void>& done) { later(shared(result(done))); });
}

}  // namespace natra::api
