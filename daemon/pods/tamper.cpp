// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/tamper.hpp"

#include <algorithm>

#include "daemon/datapath/parameters.hpp"

namespace natra::pods {
namespace {

constexpr double slack = 1.1;  // of the rate, in the long run

double longest_wait_seconds(const datapath::Rate& rate) {
    return static_cast<double>(datapath::longest_wait_ns(rate.rate_bps, datapath::Direction::egress)) / 1e9;
}

}  // namespace

void TamperHistory::add(std::uint64_t now_us) {
    times_us_.push_back(now_us);
    if (times_us_.size() > most) times_us_.pop_front();
}

std::size_t TamperHistory::recent(std::uint64_t now_us) const {
    return static_cast<std::size_t>(std::count_if(times_us_.begin(), times_us_.end(),
                                                  [now_us](std::uint64_t t) { return now_us < t + window_us; }));
}

double overrun_allowance(const datapath::Rate& rate) {
    constexpr double small_flows = 0.08;      // s, their allowance
    constexpr double default_burst = 0.05;    // s
    constexpr double packets = 256 * 1024.0;  // a few that are longer than any allowance at slow rates
    const double bytes_per_second = static_cast<double>(rate.rate_bps) / 8;
    // The program's credit and the qdisc's.
    const double burst =
        rate.burst_bits == 0 ? default_burst * bytes_per_second : 2 * static_cast<double>(rate.burst_bits) / 8;
    return packets + burst + (small_flows + longest_wait_seconds(rate)) * bytes_per_second;
}

void OverrunMeter::begin(const datapath::Rate& rate, std::uint64_t bytes, std::uint64_t now_ns) {
    rate_ = rate;
    bytes_ = bytes;
    now_ns_ = now_ns;
    level_ = 0;
    begun_ = true;
}

bool OverrunMeter::overrun(const datapath::Rate& rate, std::uint64_t bytes, std::uint64_t now_ns) {
    if (begun_ && rate != rate_) {
        constexpr double ns = 1e9;
        const double longest = std::max(longest_wait_seconds(rate), longest_wait_seconds(rate_));
        quiet_until_ns_ = now_ns + static_cast<std::uint64_t>((1 + longest) * ns);
    }
    if (!begun_ || rate != rate_ || bytes < bytes_ || now_ns < now_ns_ || now_ns < quiet_until_ns_) {
        begin(rate, bytes, now_ns);
        return false;
    }
    const double seconds = static_cast<double>(now_ns - now_ns_) / 1e9;
    level_ += static_cast<double>(bytes - bytes_) - slack * static_cast<double>(rate.rate_bps) / 8 * seconds;
    level_ = std::max(level_, 0.0);
    bytes_ = bytes;
    now_ns_ = now_ns;
    if (level_ <= overrun_allowance(rate)) return false;
    level_ = 0;
    return true;
}

}  // namespace natra::pods
