// SPDX-License-Identifier: Apache-2.0
// natra-rest-load: many clients of natrad's REST interface at once, and how long each answer took, as JSON.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <map>
#include <memory>

#include "tests/tools/options.hpp"
#include "tests/tools/report.hpp"
#include "tests/tools/rest_exchange.hpp"
#include "tests/tools/statistics.hpp"

namespace {

using namespace natra;
using namespace natra::traffic;
using std::chrono::milliseconds;

constexpr auto usage = R"(usage: natra-rest-load --socket PATH --paths PATH[,PATH]... [--ids ID[,ID]...]
  [--clients N] [--seconds N] [--interval-ms N] [--expect STATUS]
Each client reads one path after the other, "{id}" replaced by one of the ids in turn, over a new connection each.
--interval-ms 0: at once when the last answer is there (closed loop). Otherwise on a schedule, which does not wait:
a request that is late because of the one before it counts from when it was due.
)";

// What has not been answered this long after the end has failed.
constexpr std::chrono::seconds grace{10};
constexpr milliseconds queue_full_pause{1};
constexpr std::size_t most_errors = 10;

struct Plan {
    Address server;
    std::vector<std::string> paths;
    std::vector<std::string> ids;
    std::size_t clients = 0;
    std::chrono::seconds duration{};
    milliseconds interval{};  // 0: closed loop
    int expected_status = 200;
};

struct Client {
    std::size_t next_path = 0;
    std::size_t path = 0;  // of the request under way
    Clock::time_point due;
    std::unique_ptr<RestExchange> exchange;
    // The server's queue of connections was full.
    bool asks_again = false;
};

struct Outcome {
    std::map<std::string, std::vector<std::chrono::nanoseconds>> took;
    std::map<std::string, std::uint64_t> largest;  // body, bytes
    std::uint64_t failed = 0;
    std::uint64_t queue_full = 0;
    std::vector<std::string> errors;
};

class Load {
public:
    Load(Plan plan, UniqueFd epoll) : plan_(std::move(plan)), epoll_(std::move(epoll)), clients_(plan_.clients) {}

    Outcome run() {
        start_ = Clock::now();
        end_ = start_ + plan_.duration;
        for (std::size_t i = 0; i < clients_.size(); ++i) {
            // Not all at once: neither are real clients.
            clients_[i].due = start_ + i * std::chrono::nanoseconds(plan_.interval) / clients_.size();
            clients_[i].next_path = i;
        }
        std::array<epoll_event, 64> events{};
        while (under_way_ > 0 || Clock::now() < end_) {
            if (Clock::now() >= end_ + grace) break;
            begin_due();
            wait();
            const int ready = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
            for (int i = 0; i < ready; ++i) advance(clients_[events.at(static_cast<std::size_t>(i)).data.u64]);
        }
        for (auto& client : clients_)
            if (client.exchange)
                finish(client, fail(Error::Code::kernel, "no answer ", grace.count(), " s after the end"));
        return std::move(outcome_);
    }

private:
    void begin_due() {
        const auto now = Clock::now();
        for (auto& client : clients_) {
            if (client.exchange && client.asks_again) advance(client);
            if (client.exchange || now < client.due || now >= end_) continue;
            client.path = client.next_path++ % plan_.paths.size();
            client.exchange = std::make_unique<RestExchange>(plan_.server, path_of(plan_.paths[client.path]));
            if (plan_.interval == milliseconds(0)) client.due = Clock::now();
            ++under_way_;
            advance(client);
        }
    }

    std::string path_of(std::string pattern) {
        constexpr std::string_view placeholder = "{id}";
        const auto at = pattern.find(placeholder);
        if (at != std::string::npos) pattern.replace(at, placeholder.size(), plan_.ids[next_id_++ % plan_.ids.size()]);
        return pattern;
    }

    void advance(Client& client) {
        if (!client.exchange) return;
        const bool connected = client.exchange->fd() >= 0;
        auto stepped = client.exchange->step();
        if (stepped && !client.exchange->done()) {
            client.asks_again = client.exchange->fd() < 0;
            if (client.asks_again) ++outcome_.queue_full;
            if (!connected && !client.asks_again) watch(client);
            return;
        }
        if (stepped && client.exchange->status() != plan_.expected_status)
            stepped = fail(Error::Code::kernel, "status ", client.exchange->status());
        finish(client, stepped);
    }

    void watch(const Client& client) {
        // Level-triggered writing would spin; a request that does not fit at once into a socket's buffer is not made.
        epoll_event event{.events = EPOLLIN, .data = {.u64 = static_cast<std::uint64_t>(&client - clients_.data())}};
        ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, client.exchange->fd(), &event);
    }

    // Its descriptor, closed by now, has left epoll by itself.
    void finish(Client& client, const Result<void>& result) {
        const auto& path = plan_.paths[client.path];
        if (result) {
            outcome_.took[path].push_back(Clock::now() - client.due);
            auto& largest = outcome_.largest[path];
            largest = std::max(largest, client.exchange->body_bytes());
        } else {
            ++outcome_.failed;
            if (outcome_.errors.size() < most_errors)
                outcome_.errors.push_back(concat(path, ": ", result.error().what));
        }
        client.exchange.reset();
        client.asks_again = false;
        client.due = plan_.interval == milliseconds(0) ? Clock::now() : client.due + plan_.interval;
        --under_way_;
    }

    // Until there is something to do. Not by epoll_wait(), whose milliseconds would make every request late.
    void wait() const {
        auto next = Clock::now() + milliseconds(100);
        for (const auto& client : clients_) {
            if (client.exchange && client.asks_again) next = std::min(next, Clock::now() + queue_full_pause);
            if (!client.exchange && client.due < end_) next = std::min(next, client.due);
        }
        const auto left = std::max<std::chrono::nanoseconds>(next - Clock::now(), std::chrono::nanoseconds(0)).count();
        const timespec time{.tv_sec = 0, .tv_nsec = left};  // a tenth of a second at most
        pollfd watched{.fd = epoll_.get(), .events = POLLIN, .revents = 0};
        ::ppoll(&watched, 1, &time, nullptr);
    }

    const Plan plan_;
    UniqueFd epoll_;
    std::vector<Client> clients_;
    Clock::time_point start_;
    Clock::time_point end_;
    std::size_t under_way_ = 0;
    std::size_t next_id_ = 0;
    Outcome outcome_;
};

double own_cpu_seconds() {
    rusage used{};
    ::getrusage(RUSAGE_SELF, &used);
    const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    return seconds(used.ru_utime) + seconds(used.ru_stime);
}

nlohmann::json to_json(const Plan& plan, Outcome outcome) {
    auto paths = nlohmann::json::object();
    std::vector<std::chrono::nanoseconds> all;
    for (auto& [path, took] : outcome.took) {
        all.insert(all.end(), took.begin(), took.end());
        paths[path] = summary_of(std::move(took));
        paths[path]["largest_body_bytes"] = outcome.largest[path];
    }
    const auto seconds = plan.duration.count();
    return {{"clients", plan.clients},
            {"seconds", seconds},
            {"interval_ms", plan.interval.count()},
            {"requests_per_second", static_cast<double>(all.size()) / static_cast<double>(seconds)},
            {"all", summary_of(all)},
            {"paths", paths},
            {"failed", outcome.failed},
            {"queue_full", outcome.queue_full},
            {"errors", outcome.errors},
            {"client_cpu_seconds", own_cpu_seconds()}};
}

int run(std::span<char* const> arguments) {
    auto options = Options::parse(
        arguments, {"--socket", "--paths", "--ids", "--clients", "--seconds", "--interval-ms", "--expect"});
    if (!options) return report_error(options.error());
    Plan plan;
    const auto socket = options->required("--socket");
    plan.paths = options->list("--paths", "");
    plan.ids = options->list("--ids", "");
    plan.clients = options->number("--clients", 64, 1, 1000);
    plan.duration = std::chrono::seconds(options->number("--seconds", 60, 1, 86400));
    plan.interval = milliseconds(options->number("--interval-ms", 0, 0, 60'000));
    plan.expected_status = static_cast<int>(options->number("--expect", 200, 100, 599));
    if (options->error()) return report_error(*options->error());
    if (plan.paths.empty()) return report_error(fail(Error::Code::invalid_argument, "--paths is required"));
    for (const auto& path : plan.paths)
        if (plan.ids.empty() && path.find("{id}") != std::string::npos)
            return report_error(fail(Error::Code::invalid_argument, "--ids is required by the path ", path));
    const auto server = unix_address(socket);
    if (!server) return report_error(server.error());
    plan.server = *server;
    UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll) return report_error(fail_errno(Error::Code::kernel, errno, "epoll_create1"));
    Load load(plan, std::move(epoll));
    return report(to_json(plan, load.run()));
}

}  // namespace

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    const std::span<char* const> arguments(argv, static_cast<std::size_t>(argc));
    if (arguments.size() < 2) {
        std::cerr << usage;
        return 2;
    }
    try {
        return run(arguments.subspan(1));
    } catch (const std::exception& e) {
        return report_error(fail(Error::Code::internal, e.what()));
    }
}
