// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/bulk_side.hpp"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tests/tools/hello.hpp"

namespace natra::traffic {
namespace {

using namespace std::chrono_literals;

// The receiver's clock starts a little before the sender's: after its own end it waits for the sender to hang up.
constexpr auto drain_time = 1s;
constexpr auto round_trip_interval = 50ms;

std::string ended_early(Clock::time_point start, int error) {
    const std::chrono::duration<double> after = Clock::now() - start;
    return concat("ended after ", after.count(), " s: ", error == 0 ? "closed by the peer" : std::strerror(error));
}

}  // namespace

BulkSide::BulkSide(Role role, std::size_t flows, std::chrono::seconds duration,
                   std::vector<std::string> congestion_controls)
    : role_(role), duration_(duration), congestion_controls_(std::move(congestion_controls)) {
    flows_.reserve(flows);
    for (std::size_t i = 0; i < flows; ++i) flows_.emplace_back(duration);
}

BulkSide::~BulkSide() {
    abort();
    if (sampler_.joinable()) sampler_.join();
}

void BulkSide::run_flow(std::size_t index, UniqueFd fd) {
    std::unique_lock lock(mutex_);
    if (index >= flows_.size() || flows_[index].joined) return;
    Flow& flow = flows_[index];
    flow.joined = true;
    flow.fd = std::move(fd);
    if (role_ == Role::sender && !congestion_controls_.empty()) {
        const auto& name = congestion_controls_[index % congestion_controls_.size()];
        if (auto set = set_congestion_control(flow.fd.get(), name); !set) failure_ = set.error();
    }
    flow.congestion_control = congestion_control_of(flow.fd.get());
    reset_on_close(flow.fd.get());
    changed_.notify_all();
    changed_.wait_for(lock, setup_time, [this] { return started_ || aborted_; });

    std::string error = "the session never started";
    if (started_ && !aborted_) {
        lock.unlock();
        error = transfer(flow);
        lock.lock();
    }
    flow.error = error;
    flow.fd.reset();
    flow.finished = true;
    changed_.notify_all();
}

Result<void> BulkSide::start(Clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    const auto joined = [](const Flow& flow) { return flow.joined; };
    const bool complete = changed_.wait_until(
        lock, deadline, [&] { return failure_ || aborted_ || std::all_of(flows_.begin(), flows_.end(), joined); });
    if (failure_) return *failure_;
    if (!complete || aborted_)
        return fail(Error::Code::unavailable, std::count_if(flows_.begin(), flows_.end(), joined), " of ",
                    flows_.size(), " flows connected in time");
    start_ = Clock::now();
    started_ = true;
    if (role_ == Role::receiver)
        meter_ = std::make_unique<WireMeter>(start_, duration_);
    else
        sampler_ = std::thread([this] { sample_round_trips(); });
    changed_.notify_all();
    return {};
}

nlohmann::json BulkSide::report() {
    std::unique_lock lock(mutex_);
    changed_.wait_until(lock, end() + drain_time + 2s, [this] {
        return std::all_of(flows_.begin(), flows_.end(), [](const Flow& flow) { return flow.finished; });
    });
    auto flows = nlohmann::json::array();
    for (const auto& flow : flows_) {
        nlohmann::json out{{"error", flow.finished ? flow.error : "still running"}};
        if (role_ == Role::sender) {
            out["congestion_control"] = flow.congestion_control;
            out["retransmits"] = flow.retransmits;
        } else {
            out["first_second_bytes"] = flow.received.first_second_bytes();
            out["later_bytes"] = flow.received.later_bytes();
            out["timeline_bytes"] = flow.received.to_json();
        }
        flows.push_back(std::move(out));
    }
    nlohmann::json out{{"flows", std::move(flows)}};
    if (meter_) out["wire"] = meter_->result();
    if (role_ == Role::sender) out["rtt"] = summary_of(round_trips_);
    return out;
}

void BulkSide::abort() {
    const std::lock_guard lock(mutex_);
    aborted_ = true;
    for (auto& flow : flows_)
        if (flow.fd) ::shutdown(flow.fd.get(), SHUT_RDWR);
    changed_.notify_all();
}

void BulkSide::sample_round_trips() {
    std::unique_lock lock(mutex_);
    for (auto next = start_ + 1s; next < end() && !aborted_; next += round_trip_interval) {
        changed_.wait_until(lock, next, [this] { return aborted_; });
        for (const auto& flow : flows_)
            if (flow.fd) round_trips_.emplace_back(round_trip_of(flow.fd.get()));
    }
}

std::string BulkSide::transfer(Flow& flow) {
    if (role_ == Role::receiver) return receive_until_end(flow);
    auto error = send_until_end(flow);
    flow.retransmits = retransmits_of(flow.fd.get());
    return error;
}

std::string BulkSide::send_until_end(Flow& flow) const {
    static const std::vector<char> data(128 * 1024);
    while (Clock::now() < end()) {
        if (::send(flow.fd.get(), data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) continue;
        if (errno != EAGAIN && errno != EINTR) return ended_early(start_, errno);
        wait_for(flow.fd.get(), POLLOUT, end());
    }
    return {};
}

std::string BulkSide::receive_until_end(Flow& flow) const {
    std::vector<char> buffer(256 * 1024);
    const auto last = end() + drain_time;
    for (;;) {
        const ssize_t got = ::recv(flow.fd.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        const auto now = Clock::now();
        if (now >= last) return {};
        if (got > 0) {
            flow.received.add(now - start_, static_cast<std::uint64_t>(got));
        } else if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            wait_for(flow.fd.get(), POLLIN, last);
        } else {
            return now >= end() ? std::string() : ended_early(start_, got == 0 ? 0 : errno);
        }
    }
}

}  // namespace natra::traffic
