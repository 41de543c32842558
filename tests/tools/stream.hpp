// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/tools/socket.hpp"
#include "tests/tools/stream_record.hpp"
#include "tests/tools/stream_shape.hpp"

namespace natra::traffic {

// The first bytes of every packet of a stream. Both ends are the same executable on one machine, so host byte order.
struct StreamHeader {
    std::uint64_t number = 0;
    // CLOCK_MONOTONIC when the packet was handed to the kernel, or would have been had the socket not been full.
    std::int64_t sent_ns = 0;
};
static_assert(sizeof(StreamHeader) == min_stream_payload);

// An overdue packet is sent, and an overdue one waited for, this long behind the end.
inline constexpr std::chrono::milliseconds default_stream_grace{2000};

// Sends from one ordinary socket, which waits while its buffer is full, and blocks until the stream or the time for it
// is over. {sent_packets, held_packets (the socket was full), send_error}
nlohmann::json send_stream(const Address& to, const StreamPlan& plan, std::chrono::milliseconds grace);

// Receives a stream on a UDP port of its own, by a thread of its own.
class StreamSink {
public:
    // Any address of the family.
    static Result<std::unique_ptr<StreamSink>> open(int family, const StreamPlan& plan,
                                                    std::chrono::milliseconds grace);
    ~StreamSink();
    StreamSink(const StreamSink&) = delete;
    StreamSink& operator=(const StreamSink&) = delete;

    [[nodiscard]] std::uint16_t port() const { return port_; }
    void start();
    // Waits for the end. See StreamRecord::to_json().
    nlohmann::json report();

private:
    StreamSink(UniqueFd fd, std::uint16_t port, std::uint64_t packets, std::chrono::milliseconds time)
        : fd_(std::move(fd)), port_(port), time_(time), record_(packets) {}
    void receive();

    UniqueFd fd_;
    std::uint16_t port_;
    std::chrono::milliseconds time_;
    StreamRecord record_;  // the thread's until it is joined
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

}  // namespace natra::traffic
