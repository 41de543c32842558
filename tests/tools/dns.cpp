// SPDX-License-Identifier: Apache-2.0
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>

#include "tests/tools/channel.hpp"
#include "tests/tools/clients.hpp"
#include "tests/tools/dns_responder.hpp"
#include "tests/tools/hello.hpp"
#include "tests/tools/report.hpp"
#include "tests/tools/statistics.hpp"

namespace natra::traffic {
namespace {

using nlohmann::json;

// Asks at every tick whether or not earlier queries are answered. Each has a socket, and thereby a 5-tuple, of its own,
// as a resolver's has, and is asked once.
class Asker {
public:
    Asker(const Address& to, std::size_t query, Clock::duration timeout) : to_(to), query_(query), timeout_(timeout) {}

    // Queries until `end`, answers until the timeout of the last. An Error if a socket fails.
    Result<void> run(Clock::time_point end, Clock::duration interval) {
        auto next = Clock::now();
        while (next < end || !waiting_.empty()) {
            if (next < end && Clock::now() >= next) {
                if (auto asked = ask(); !asked) return asked;
                next += interval;
            }
            wait(next < end ? next : Clock::now() + timeout_);
            collect();
        }
        return {};
    }

    [[nodiscard]] std::uint64_t sent() const { return sent_; }
    [[nodiscard]] const std::vector<std::chrono::nanoseconds>& samples() const { return samples_; }

private:
    struct Query {
        UniqueFd fd;
        Clock::time_point sent;
        bool over = false;
    };

    Result<void> ask() {
        UniqueFd fd(::socket(to_.family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (!fd) return fail_errno(Error::Code::kernel, errno, "UDP socket");
        if (::connect(fd.get(), to_.get(), to_.length) != 0) return fail_errno(Error::Code::kernel, errno, "connect");
        const auto now = Clock::now();
        if (::send(fd.get(), query_.data(), query_.size(), 0) < 0 && errno != EAGAIN && errno != ENOBUFS)
            return fail_errno(Error::Code::kernel, errno, "send");
        ++sent_;
        waiting_.push_back({.fd = std::move(fd), .sent = now});
        return {};
    }

    void collect() {
        for (auto& query : waiting_) {
            char drop = 0;
            const bool answered = ::recv(query.fd.get(), &drop, 1, MSG_DONTWAIT | MSG_TRUNC) > 0;
            const auto took = Clock::now() - query.sent;
            if (answered) samples_.push_back(took);
            query.over = answered || took >= timeout_;
        }
        waiting_.erase(std::remove_if(waiting_.begin(), waiting_.end(), [](const Query& query) { return query.over; }),
                       waiting_.end());
    }

    void wait(Clock::time_point until) {
        entries_.clear();
        for (const auto& query : waiting_) {
            entries_.push_back({.fd = query.fd.get(), .events = POLLIN, .revents = 0});
            until = std::min(until, query.sent + timeout_);
        }
        ::poll(entries_.data(), entries_.size(), milliseconds_until(until, 60'000));
    }

    const Address& to_;
    std::vector<char> query_;
    Clock::duration timeout_;
    std::uint64_t sent_ = 0;
    std::deque<Query> waiting_;
    std::vector<pollfd> entries_;
    std::vector<std::chrono::nanoseconds> samples_;
};

}  // namespace

int run_dns(Options& options) {
    const auto host = options.required("--server");
    const auto port = static_cast<std::uint16_t>(options.number("--port", 5201, 1, 65535));
    const auto control = options.text("--control", "");
    const std::chrono::milliseconds duration(options.number("--milliseconds", 5000, 1, max_seconds * 1000));
    // With the longest timeout 600 sockets at once: below the usual limit for a process.
    const std::chrono::microseconds interval(options.number("--interval-us", 100'000, 50'000, 60'000'000));
    const auto query = options.number("--request", 60, 1, max_dns_size);
    const auto answer = options.number("--answer", 600, 1, max_dns_size);
    const std::chrono::milliseconds timeout(options.number("--timeout-milliseconds", 5000, 1, 30'000));
    if (options.error()) return report_error(*options.error());
    const auto server = ip_address(host, port);
    if (!server) return report_error(server.error());

    auto channel = Channel::to(control, *server);
    if (!channel) return report_error(channel.error());
    const auto deadline = Clock::now() + setup_time;
    const auto opened =
        channel->ask({{"op", "open"}, {"kind", "dns"}, {"family", server->family()}, {"answer", answer}}, deadline);
    if (!opened) return report_error(opened.error());
    const auto to = ip_address(host, opened->at("port").get<std::uint16_t>());
    if (!to) return report_error(to.error());
    if (auto started = channel->ask({{"op", "start"}}, deadline); !started) return report_error(started.error());

    Asker asker(*to, query, timeout);
    const auto done = asker.run(Clock::now() + duration, interval);
    const auto there = channel->ask({{"op", "report"}}, Clock::now() + setup_time);
    if (!there) return report_error(there.error());
    const auto answered = asker.samples().size();
    json out{
        {"kind", "dns"},
        {"sent_queries", asker.sent()},
        {"answered_queries", answered},
        {"lost_share", asker.sent() > 0 ? 1 - static_cast<double>(answered) / static_cast<double>(asker.sent()) : 0.0},
        {"errors", json::array()}};
    if (!done) out["errors"].push_back(done.error().what);
    out.update(*there);
    out.update(summary_of(asker.samples()));
    return report(out);
}

}  // namespace natra::traffic
