// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/tools/socket.hpp"

namespace natra::traffic {

inline constexpr std::size_t max_dns_size = 1452;  // bytes of a query or an answer: no fragments

// Answers every datagram with one of `size` bytes, on a UDP port of its own and by a thread of its own.
class DnsResponder {
public:
    // Any address of the family. size: 1 to max_dns_size.
    static Result<std::unique_ptr<DnsResponder>> open(int family, std::size_t size);
    ~DnsResponder() { stop(); }
    DnsResponder(const DnsResponder&) = delete;
    DnsResponder& operator=(const DnsResponder&) = delete;

    [[nodiscard]] std::uint16_t port() const { return port_; }
    void start();
    // Ends it. {arrived_queries, refused_answers (by the kernel: a full queue)}
    nlohmann::json report();

private:
    DnsResponder(UniqueFd fd, std::uint16_t port, std::size_t size) : fd_(std::move(fd)), port_(port), answer_(size) {}
    void respond();
    void stop();

    UniqueFd fd_;
    std::uint16_t port_;
    std::vector<char> answer_;
    std::uint64_t arrived_ = 0;  // the thread's until it is joined, as the next
    std::uint64_t refused_ = 0;
    std::atomic<bool> stop_{false};
    std::thread thread_;
};

}  // namespace natra::traffic
