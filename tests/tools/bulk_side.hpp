// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/tools/statistics.hpp"
#include "tests/tools/wire_meter.hpp"

namespace natra::traffic {

enum class Role { sender, receiver };

// One side of N parallel TCP flows that start and end together. Each flow has a thread of its own,
// which calls run_flow(); the thread that owns the side calls start() and report(). Receivers start first.
class BulkSide {
public:
    // congestion_controls: for the sender, cycled over the flows; empty: the kernel's default.
    BulkSide(Role role, std::size_t flows, std::chrono::seconds duration, std::vector<std::string> congestion_controls);
    ~BulkSide();
    BulkSide(const BulkSide&) = delete;
    BulkSide& operator=(const BulkSide&) = delete;

    // Waits for start(), transfers for the duration and closes the connection.
    void run_flow(std::size_t index, UniqueFd fd);

    // Returns once all flows have joined and were let go; an Error if one could not or the deadline passed.
    Result<void> start(Clock::time_point deadline);
    // Waits for the flows to end. Sender: flows of {congestion_control, retransmits, error}, and rtt: summary_of() all
    // flows' smoothed round-trip times (TCP_INFO), sampled every 50 ms after the first second.
    // Receiver: flows of {first_second_bytes, later_bytes, timeline_bytes, error}, and wire (see WireMeter).
    nlohmann::json report();
    // Ends every flow soon; waits for nothing.
    void abort();

private:
    struct Flow {
        explicit Flow(std::chrono::seconds duration) : received(duration) {}
        UniqueFd fd;
        Timeline received;
        std::string congestion_control;
        std::uint32_t retransmits = 0;
        std::string error;
        bool joined = false;
        bool finished = false;
    };

    std::string transfer(Flow& flow);
    std::string send_until_end(Flow& flow) const;
    std::string receive_until_end(Flow& flow) const;
    [[nodiscard]] Clock::time_point end() const { return start_ + duration_; }
    void sample_round_trips();

    const Role role_;
    const std::chrono::seconds duration_;
    const std::vector<std::string> congestion_controls_;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Flow> flows_;
    std::optional<Error> failure_;
    bool started_ = false;
    bool aborted_ = false;
    Clock::time_point start_;  // written once, before started_
    std::unique_ptr<WireMeter> meter_;
    std::vector<std::chrono::nanoseconds> round_trips_;
    std::thread sampler_;  // of round_trips_
};

}  // namespace natra::traffic
