// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/server.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <mutex>
#include <thread>

#include "tests/tools/bulk_side.hpp"
#include "tests/tools/channel.hpp"
#include "tests/tools/dns_responder.hpp"
#include "tests/tools/hello.hpp"
#include "tests/tools/report.hpp"
#include "tests/tools/stream.hpp"
#include "tests/tools/udp.hpp"

namespace natra::traffic {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using Code = Error::Code;

constexpr auto idle_time = 60s;  // a connection without traffic ends

// The bulk sessions that wait for their flows.
class Sessions {
public:
    std::uint64_t add(std::shared_ptr<BulkSide> side) {
        const std::lock_guard lock(mutex_);
        sides_[++last_] = std::move(side);
        return last_;
    }
    std::shared_ptr<BulkSide> find(std::uint64_t id) {
        const std::lock_guard lock(mutex_);
        const auto found = sides_.find(id);
        return found == sides_.end() ? nullptr : found->second;
    }
    void remove(std::uint64_t id) {
        const std::lock_guard lock(mutex_);
        sides_.erase(id);
    }

private:
    std::mutex mutex_;
    std::map<std::uint64_t, std::shared_ptr<BulkSide>> sides_;
    std::uint64_t last_ = 0;
};

Sessions& sessions() {
    static Sessions all;
    return all;
}

// What one control connection may ask for after "open": start, then report.
struct Plan {
    json opened;  // the answer to "open"
    std::function<Result<void>()> start;
    std::function<json()> report;
    std::function<void()> close = [] {};
};

std::chrono::seconds duration_of(const json& request) { return std::chrono::seconds(request.at("seconds").get<int>()); }

Plan plan_bulk(const json& request) {
    const auto role = request.at("direction") == "up" ? Role::receiver : Role::sender;
    auto side = std::make_shared<BulkSide>(role, request.at("flows").get<std::size_t>(), duration_of(request),
                                           request.at("congestion_controls").get<std::vector<std::string>>());
    const auto id = sessions().add(side);
    return {.opened = {{"session", id}},
            .start = [side] { return side->start(Clock::now() + setup_time); },
            .report = [side] { return side->report(); },
            .close =
                [side, id] {
                    side->abort();
                    sessions().remove(id);
                }};
}

// Of whoever receives by a thread of its own.
template <typename Sink> Plan plan_to_receive(std::unique_ptr<Sink> sink) {
    const std::shared_ptr<Sink> shared = std::move(sink);
    return {.opened = {{"port", shared->port()}},
            .start = [shared]() -> Result<void> {
                shared->start();
                return {};
            },
            .report = [shared] { return shared->report(); }};
}

// `send` blocks until all is sent, and returns what there is to report.
Plan plan_to_send(std::function<json()> send) {
    struct Running {
        json result;
        std::thread thread;
        ~Running() {
            if (thread.joinable()) thread.join();
        }
    };
    auto running = std::make_shared<Running>();
    return {.opened = json::object(),
            .start = [running, send = std::move(send)]() -> Result<void> {
                running->thread = std::thread([running = running.get(), send] { running->result = send(); });
                return {};
            },
            .report =
                [running] {
                    running->thread.join();
                    return running->result;
                }};
}

Result<Plan> plan_udp(const json& request) {
    if (request.at("direction") == "up") {
        auto sink = UdpSink::open(request.at("family").get<int>(), duration_of(request));
        if (!sink) return sink.error();
        return plan_to_receive(std::move(*sink));
    }
    auto to = ip_address(request.at("address"), request.at("port").get<std::uint16_t>());
    if (!to) return to.error();
    const UdpPlan plan{.rate = request.at("rate"),
                       .payload = request.at("payload"),
                       .flows = request.at("flows"),
                       .sender = request.at("sender").get<UdpSender>(),
                       .duration = duration_of(request)};
    return plan_to_send([to = *to, plan] { return send_udp(to, plan); });
}

Result<Plan> plan_stream(const json& request) {
    const StreamPlan plan{.rate = request.at("rate"),
                          .payload = request.at("payload"),
                          .bursts_per_second = request.at("bursts"),
                          .duration = std::chrono::milliseconds(request.at("milliseconds").get<int>())};
    const std::chrono::milliseconds grace(request.at("grace_milliseconds").get<int>());
    if (request.at("direction") == "up") {
        auto sink = StreamSink::open(request.at("family").get<int>(), plan, grace);
        if (!sink) return sink.error();
        return plan_to_receive(std::move(*sink));
    }
    auto to = ip_address(request.at("address"), request.at("port").get<std::uint16_t>());
    if (!to) return to.error();
    return plan_to_send([to = *to, plan, grace] { return send_stream(to, plan, grace); });
}

Result<Plan> plan_dns(const json& request) {
    auto responder = DnsResponder::open(request.at("family").get<int>(), request.at("answer").get<std::size_t>());
    if (!responder) return responder.error();
    return plan_to_receive(std::move(*responder));
}

Result<Plan> plan_for(const json& request) {
    const auto kind = request.at("kind").get<std::string>();
    if (kind == "bulk") return plan_bulk(request);
    if (kind == "udp") return plan_udp(request);
    if (kind == "stream") return plan_stream(request);
    if (kind == "dns") return plan_dns(request);
    return fail(Code::invalid_argument, "unknown kind \"", kind, "\"");
}

json answer_to(const json& request, std::optional<Plan>& plan) {
    const auto op = request.at("op").get<std::string>();
    if (op == "open" && !plan) {
        auto made = plan_for(request);
        if (!made) return {{"error", made.error().what}};
        plan = std::move(*made);
        return plan->opened;
    }
    if (op == "start" && plan) {
        const auto started = plan->start();
        if (!started) return {{"error", started.error().what}};
        return {{"started", true}};
    }
    if (op == "report" && plan) return plan->report();
    return {{"error", concat("unexpected request \"", op, "\"")}};
}

void serve_control(UniqueFd fd) {
    Channel channel(std::move(fd));
    std::optional<Plan> plan;
    for (;;) {
        const auto request = channel.receive(Clock::now() + std::chrono::seconds(max_seconds));
        if (!request) break;
        json answer;
        try {
            answer = answer_to(*request, plan);
        } catch (const json::exception& e) {
            answer = {{"error", concat("bad request: ", e.what())}};
        }
        if (!channel.send(answer, Clock::now() + setup_time)) break;
    }
    if (plan) plan->close();
}

void serve_echo(int fd, std::uint64_t bytes) {
    std::vector<char> data(bytes);
    while (read_exactly(fd, data.data(), data.size(), Clock::now() + idle_time) &&
           write_all(fd, data.data(), data.size(), Clock::now() + idle_time)) {
    }
}

void serve_short(int fd, Kind kind, std::uint64_t bytes) {
    const auto deadline = Clock::now() + idle_time;
    std::vector<char> data(bytes);
    if (kind == Kind::short_down) {
        if (!write_all(fd, data.data(), data.size(), deadline)) return;
    } else if (!read_exactly(fd, data.data(), data.size(), deadline) || !write_all(fd, data.data(), 1, deadline)) {
        return;
    }
    // The client closes first: TIME_WAIT belongs to it, not to the server's port.
    char rest = 0;
    (void)read_exactly(fd, &rest, 1, deadline);
}

void serve_connection(UniqueFd fd) {
    Hello hello;
    if (!read_exactly(fd.get(), &hello, sizeof hello, Clock::now() + setup_time) || !hello.valid()) return;
    if (hello.argument > max_transfer) return;
    switch (hello.kind) {
    case Kind::control: return serve_control(std::move(fd));
    case Kind::echo: return serve_echo(fd.get(), std::max<std::uint64_t>(hello.argument, 1));
    case Kind::short_up:
    case Kind::short_down: return serve_short(fd.get(), hello.kind, std::max<std::uint64_t>(hello.argument, 1));
    case Kind::bulk:
        if (auto side = sessions().find(hello.session)) side->run_flow(hello.flow, std::move(fd));
        return;
    }
}

void accept_all(int listener) {
    for (;;) {
        UniqueFd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!fd) return;
        const int on = 1;
        ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        std::thread([fd = std::move(fd)]() mutable {
            try {
                serve_connection(std::move(fd));
            } catch (const std::exception& e) {
                std::cerr << concat("natra-traffic: connection: ", e.what(), "\n");
            }
        }).detach();
    }
}

// Reads and drops what comes; true at end of file.
bool at_eof(int fd) {
    std::array<char, 256> drop;
    return ::read(fd, drop.data(), drop.size()) == 0;
}

}  // namespace

int serve(Options& options) {
    const auto host = options.text("--bind", "::");
    const auto port = static_cast<std::uint16_t>(options.number("--port", 0, 0, 65535));
    const auto control = options.text("--control", "");
    const auto seconds = options.number("--seconds", max_seconds, 1, 24 * max_seconds);
    const bool until_eof = options.number("--until-eof", 0, 0, 1) == 1;
    if (options.error()) return report_error(*options.error());

    auto address = ip_address(host, port);
    if (!address) return report_error(address.error());
    std::vector<UniqueFd> listeners;
    auto tcp = listen_on(*address);
    if (!tcp) return report_error(fail(tcp.error().code, host, " port ", port, ": ", tcp.error().what));
    listeners.push_back(std::move(*tcp));
    if (!control.empty()) {
        auto path = unix_address(control);
        if (!path) return report_error(path.error());
        auto local = listen_on(*path);
        if (!local) return report_error(fail(local.error().code, control, ": ", local.error().what));
        listeners.push_back(std::move(*local));
    }
    const auto bound = local_address(listeners.front().get());
    if (!bound) return report_error(bound.error());
    std::cout << json{{"ready", true}, {"port", port_of(*bound)}} << std::endl;

    const auto end = Clock::now() + std::chrono::seconds(seconds);
    while (Clock::now() < end) {
        std::vector<pollfd> entries;
        for (const auto& listener : listeners)
            entries.push_back({.fd = listener.get(), .events = POLLIN, .revents = 0});
        if (until_eof) entries.push_back({.fd = STDIN_FILENO, .events = POLLIN, .revents = 0});
        if (::poll(entries.data(), entries.size(), milliseconds_until(end, 60'000)) < 0 && errno != EINTR) break;
        if (until_eof && entries.back().revents != 0 && at_eof(STDIN_FILENO)) break;
        for (const auto& listener : listeners) accept_all(listener.get());
    }
    if (!control.empty()) ::unlink(control.c_str());
    // Connections have threads that nobody waits for.
    std::_Exit(0);
}

}  // namespace natra::traffic
