// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/wire_meter.hpp"

#include <fstream>
#include <sstream>
#include <string>

namespace natra::traffic {

WireMeter::WireMeter(Clock::time_point start, std::chrono::seconds duration)
    : thread_([this, start, duration] {
          std::this_thread::sleep_until(start);
          at_start_ = sample();
          std::this_thread::sleep_until(start + std::chrono::seconds(1));
          at_first_second_ = sample();
          std::this_thread::sleep_until(start + duration);
          at_end_ = sample();
      }) {}

WireMeter::~WireMeter() {
    if (thread_.joinable()) thread_.join();
}

nlohmann::json WireMeter::result() {
    if (thread_.joinable()) thread_.join();
    const std::chrono::duration<double> later = at_end_.at - at_first_second_.at;
    return {{"first_second_bytes", at_first_second_.bytes - at_start_.bytes},
            {"later_bytes", at_end_.bytes - at_first_second_.bytes},
            {"later_seconds", later.count()}};
}

WireMeter::Sample WireMeter::sample() {
    Sample out{.at = Clock::now()};
    std::ifstream file("/proc/thread-self/net/dev");
    std::string line;
    while (std::getline(file, line)) {
        const auto colon = line.find(':');
        if (colon == std::string::npos) continue;  // the two lines of headings
        const auto begin = line.find_first_not_of(' ');
        std::uint64_t received = 0;
        std::istringstream(line.substr(colon + 1)) >> received;
        if (line.substr(begin, colon - begin) != "lo") out.bytes += received;
    }
    return out;
}

}  // namespace natra::traffic
