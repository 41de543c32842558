// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <mutex>
#include <thread>

#include "tests/tools/clients.hpp"
#include "tests/tools/hello.hpp"
#include "tests/tools/report.hpp"
#include "tests/tools/statistics.hpp"

namespace natra::traffic {
namespace {

constexpr std::size_t max_scheduled = 10'000;  // each has a thread until the end

struct Transfers {
    std::mutex mutex;
    std::vector<std::chrono::nanoseconds> samples;
    std::uint64_t unfinished = 0;  // in samples, with the time they had
    std::uint64_t failed = 0;
    std::vector<std::string> errors;
};

Result<void> transfer(const Address& server, Kind kind, std::vector<char>& data, Clock::time_point deadline) {
    auto fd = connect_until(server, deadline);
    if (!fd) return fd.error();
    const Hello hello{.kind = kind, .argument = data.size()};
    if (auto said = write_all(fd->get(), &hello, sizeof hello, deadline); !said) return said;
    if (kind == Kind::short_down) return read_exactly(fd->get(), data.data(), data.size(), deadline);
    if (auto sent = write_all(fd->get(), data.data(), data.size(), deadline); !sent) return sent;
    return read_exactly(fd->get(), data.data(), 1, deadline);
}

}  // namespace

// From connect() to the last byte (down) or to the server's answer to it (up). With an interval a transfer starts at
// every tick, whether or not earlier ones have ended; without one, --parallel slots run transfer after transfer.
int run_short(Options& options) {
    const auto host = options.required("--server");
    const auto port = static_cast<std::uint16_t>(options.number("--port", 5201, 1, 65535));
    const auto kind = options.one_of("--direction", {"up", "down"}) == "up" ? Kind::short_up : Kind::short_down;
    const std::chrono::milliseconds duration(options.number("--milliseconds", 5000, 1, max_seconds * 1000));
    const std::chrono::milliseconds grace(options.number("--grace-milliseconds", 10'000, 0, 120'000));
    const std::chrono::microseconds interval(options.number("--interval-us", 50'000, 0, 60'000'000));
    const auto size = options.number("--size", 16'000, 1, max_transfer);
    const auto parallel = options.number("--parallel", 1, 1, 4096);
    if (interval.count() > 0 && (parallel > 1 || static_cast<std::uint64_t>(duration / interval) >= max_scheduled))
        return report_error(fail(Error::Code::invalid_argument,
                                 "--interval-us: with an interval --parallel must be 1 and ",
                                 "the duration hold fewer than ", max_scheduled, " transfers"));
    if (options.error()) return report_error(*options.error());
    const auto server = ip_address(host, port);
    if (!server) return report_error(server.error());

    Transfers all;
    const auto start = Clock::now();
    const auto end = start + duration;
    const auto one = [&](std::vector<char>& data) {
        const auto began = Clock::now();
        const auto done = transfer(*server, kind, data, end + grace);
        const auto took = Clock::now() - began;
        const std::lock_guard lock(all.mutex);
        if (done || done.error().sys == ETIMEDOUT) all.samples.push_back(took);
        if (done) return;
        ++(done.error().sys == ETIMEDOUT ? all.unfinished : all.failed);
        if (all.errors.size() < 10) all.errors.push_back(done.error().what);
    };
    std::vector<std::thread> threads;
    if (interval.count() > 0) {
        for (auto next = start; next < end && threads.size() < max_scheduled; next += interval) {
            std::this_thread::sleep_until(next);
            threads.emplace_back([&] {
                std::vector<char> data(size);
                one(data);
            });
        }
    } else {
        for (std::uint64_t i = 0; i < parallel; ++i)
            threads.emplace_back([&] {
                std::vector<char> data(size);
                while (Clock::now() < end) one(data);
            });
    }
    for (auto& thread : threads) thread.join();

    nlohmann::json out{
        {"kind", "short"}, {"unfinished", all.unfinished}, {"failed", all.failed}, {"errors", all.errors}};
    out.update(summary_of(std::move(all.samples)));
    return report(out);
}

}  // namespace natra::traffic
