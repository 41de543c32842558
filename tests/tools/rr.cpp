// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <thread>

#include "tests/tools/clients.hpp"
#include "tests/tools/hello.hpp"
#include "tests/tools/report.hpp"
#include "tests/tools/statistics.hpp"

namespace natra::traffic {

// One request outstanding at a time: a slow answer delays the next request, so slow moments are sampled
// less often than they last. The comparison is the same for every limiter.
int run_rr(Options& options) {
    const auto host = options.required("--server");
    const auto port = static_cast<std::uint16_t>(options.number("--port", 5201, 1, 65535));
    const std::chrono::milliseconds duration(options.number("--milliseconds", 5000, 1, max_seconds * 1000));
    const std::chrono::milliseconds grace(options.number("--grace-milliseconds", 10'000, 0, 120'000));
    const std::chrono::microseconds interval(options.number("--interval-us", 1000, 0, 10'000'000));
    const auto size = options.number("--size", 64, 1, 65536);
    if (options.error()) return report_error(*options.error());
    const auto server = ip_address(host, port);
    if (!server) return report_error(server.error());

    const auto deadline = Clock::now() + setup_time;
    auto fd = connect_until(*server, deadline);
    if (!fd) return report_error(fd.error());
    const Hello hello{.kind = Kind::echo, .argument = size};
    if (auto said = write_all(fd->get(), &hello, sizeof hello, deadline); !said) return report_error(said.error());

    std::vector<char> data(size);
    std::vector<std::chrono::nanoseconds> samples;
    std::uint64_t unfinished = 0;
    std::string error;
    const auto start = Clock::now();
    const auto end = start + duration;
    for (auto next = start; next < end; next = std::max(next + interval, Clock::now())) {
        std::this_thread::sleep_until(next);
        const auto sent_at = Clock::now();
        auto done = write_all(fd->get(), data.data(), data.size(), end + grace);
        if (done) done = read_exactly(fd->get(), data.data(), data.size(), end + grace);
        samples.push_back(Clock::now() - sent_at);
        if (done) continue;
        // The time so far is a lower bound of this sample.
        ++unfinished;
        if (done.error().sys != ETIMEDOUT) error = done.error().what;
        break;
    }
    nlohmann::json out{{"kind", "rr"}, {"unfinished", unfinished}, {"errors", nlohmann::json::array()}};
    if (!error.empty()) out["errors"].push_back(error);
    out.update(summary_of(std::move(samples)));
    return report(out);
}

}  // namespace natra::traffic
