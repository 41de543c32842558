// SPDX-License-Identifier: Apache-2.0
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <deque>

#include "tests/tools/clients.hpp"
#include "tests/tools/hello.hpp"
#include "tests/tools/report.hpp"
#include "tests/tools/statistics.hpp"

namespace natra::traffic {
namespace {

// Sends a request at every tick whether or not earlier ones are answered: with one outstanding at a time the slow
// moments would be sampled far less often than they last.
class Pinger {
public:
    Pinger(int fd, std::size_t size) : fd_(fd), request_(size) {}

    // Requests until `end`, answers until `last`. An Error if the connection breaks.
    Result<void> run(Clock::time_point end, Clock::time_point last, Clock::duration interval) {
        auto next = Clock::now();
        while (next < end || !waiting_.empty()) {
            const auto now = Clock::now();
            if (now >= last) return {};
            if (next < end && now >= next) {
                waiting_.push_back(now);
                if (auto sent = write_all(fd_, request_.data(), request_.size(), last); !sent) return sent;
                next = std::max(next + interval, now);
            }
            if (auto read = read_answers(); !read) return read;
            if (next < end || !waiting_.empty()) wait(next < end ? next : last);
        }
        return {};
    }

    [[nodiscard]] std::size_t unfinished() const { return waiting_.size(); }
    // Includes the unanswered requests with the time they have waited: a lower bound.
    std::vector<std::chrono::nanoseconds> samples() {
        auto out = samples_;
        const auto now = Clock::now();
        for (const auto sent : waiting_) out.push_back(now - sent);
        return out;
    }

private:
    Result<void> read_answers() {
        char buffer[65536];
        for (;;) {
            const ssize_t got = ::recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
            if (got < 0 && (errno == EAGAIN || errno == EINTR)) return {};
            if (got <= 0) return fail_errno(Error::Code::kernel, got == 0 ? ECONNRESET : errno, "ping-pong");
            const auto now = Clock::now();
            for (received_ += static_cast<std::size_t>(got); received_ >= request_.size() && !waiting_.empty();
                 received_ -= request_.size()) {
                samples_.push_back(now - waiting_.front());
                waiting_.pop_front();
            }
        }
    }

    void wait(Clock::time_point until) const {
        const auto left = std::max(until - Clock::now(), Clock::duration::zero());
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
        const timespec timeout{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
        pollfd entry{.fd = fd_, .events = POLLIN, .revents = 0};
        ::ppoll(&entry, 1, &timeout, nullptr);
    }

    int fd_;
    std::vector<char> request_;
    std::size_t received_ = 0;  // of the answer that is coming in
    std::deque<Clock::time_point> waiting_;
    std::vector<std::chrono::nanoseconds> samples_;
};

}  // namespace

int run_rr(Options& options) {
    const auto host = options.required("--server");
    const auto port = static_cast<std::uint16_t>(options.number("--port", 5201, 1, 65535));
    const std::chrono::milliseconds duration(options.number("--milliseconds", 5000, 1, max_seconds * 1000));
    const std::chrono::milliseconds grace(options.number("--grace-milliseconds", 10'000, 0, 120'000));
    const std::chrono::microseconds interval(options.number("--interval-us", 1000, 10, 10'000'000));
    const auto size = options.number("--size", 64, 1, 65536);
    if (options.error()) return report_error(*options.error());
    const auto server = ip_address(host, port);
    if (!server) return report_error(server.error());

    const auto deadline = Clock::now() + setup_time;
    auto fd = connect_until(*server, deadline);
    if (!fd) return report_error(fd.error());
    const Hello hello{.kind = Kind::echo, .argument = size};
    if (auto said = write_all(fd->get(), &hello, sizeof hello, deadline); !said) return report_error(said.error());

    Pinger pinger(fd->get(), size);
    const auto end = Clock::now() + duration;
    const auto done = pinger.run(end, end + grace, interval);
    nlohmann::json out{{"kind", "rr"}, {"unfinished", pinger.unfinished()}, {"errors", nlohmann::json::array()}};
    if (!done) out["errors"].push_back(done.error().what);
    out.update(summary_of(pinger.samples()));
    return report(out);
}

}  // namespace natra::traffic
