// SPDX-License-Identifier: Apache-2.0
#include <sys/prctl.h>

#include <thread>

#include "tests/tools/clients.hpp"
#include "tests/tools/report.hpp"
#include "tests/tools/wire_meter.hpp"

namespace natra::traffic {

int run_wire(Options& options) {
    const std::chrono::milliseconds duration(options.number("--milliseconds", 1000, 1, 86'400'000));
    const std::chrono::microseconds interval(options.number("--interval-us", 2000, 100, 1'000'000));
    if (options.error()) return report_error(*options.error());
    // Else the kernel may let timers pile up for 50 us.
    ::prctl(PR_SET_TIMERSLACK, 1);
    auto at_ns = nlohmann::json::array();
    auto bytes = nlohmann::json::array();
    const auto end = Clock::now() + duration;
    // A late sample says by its own time how late it is; the next one is not hurried.
    for (auto next = Clock::now(); next < end; next = std::max(next + interval, Clock::now())) {
        std::this_thread::sleep_until(next);
        const auto sample = WireMeter::sample();
        at_ns.push_back(sample.at.time_since_epoch().count());
        bytes.push_back(sample.bytes);
    }
    return report({{"kind", "wire"}, {"at_ns", std::move(at_ns)}, {"received_bytes", std::move(bytes)}});
}

}  // namespace natra::traffic
