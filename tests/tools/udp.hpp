// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/tools/statistics.hpp"
#include "tests/tools/wire_meter.hpp"

namespace natra::traffic {

enum class UdpSender {
    flood,   // never waits: what the kernel refuses is lost
    socket,  // an ordinary program's socket: it waits while its buffer is full. One flow
};

struct UdpPlan {
    std::uint64_t rate = 0;   // bit/s on the wire, see wire_bytes()
    std::size_t payload = 0;  // bytes of a datagram, at most max_payload
    unsigned flows = 0;       // flood: so many, packets in turns; 0: a new 5-tuple for every packet
    UdpSender sender = UdpSender::flood;
    std::chrono::seconds duration{0};
};

inline constexpr std::size_t max_payload = 60'000;

// What a datagram takes of a link with an MTU of 1500: Ethernet, IP and UDP headers, those of every fragment.
std::size_t wire_bytes(std::size_t payload, int family);

// A bound socket with a buffer that one late reader does not overflow. Any address and port of the family.
Result<UniqueFd> udp_receiver(int family);

// Sends and blocks for the plan's duration. {offered_packets, sent_packets, refused_packets, send_error}:
// refused by the kernel (a full queue or socket buffer). A flood needs CAP_NET_RAW.
nlohmann::json send_udp(const Address& to, const UdpPlan& plan);

// Receives on a UDP port of its own, by a thread of its own.
class UdpSink {
public:
    // Any address of the family.
    static Result<std::unique_ptr<UdpSink>> open(int family, std::chrono::seconds duration);
    ~UdpSink();
    UdpSink(const UdpSink&) = delete;
    UdpSink& operator=(const UdpSink&) = delete;

    [[nodiscard]] std::uint16_t port() const { return port_; }
    void start();
    // Waits for the end. {received_packets, first_second_bytes, later_bytes, timeline_bytes, wire};
    // bytes are payload.
    nlohmann::json report();

private:
    UdpSink(UniqueFd fd, std::uint16_t port, std::chrono::seconds duration)
        : fd_(std::move(fd)), port_(port), duration_(duration), received_(duration) {}
    void receive();

    UniqueFd fd_;
    std::uint16_t port_;
    std::chrono::seconds duration_;
    Timeline received_;
    std::uint64_t packets_ = 0;  // the thread's until it is joined
    std::atomic<bool> stop_{false};
    Clock::time_point start_;
    std::unique_ptr<WireMeter> meter_;
    std::thread thread_;
};

}  // namespace natra::traffic
