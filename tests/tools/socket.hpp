// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "daemon/util/error.hpp"
#include "daemon/util/unique_fd.hpp"

namespace natra::traffic {

using Clock = std::chrono::steady_clock;

struct Address {
    sockaddr_storage storage{};
    socklen_t length = 0;
    [[nodiscard]] int family() const { return storage.ss_family; }
    [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// A numeric IPv4 or IPv6 address: names are not resolved.
Result<Address> ip_address(const std::string& host, std::uint16_t port);
Result<Address> unix_address(const std::string& path);
std::string host_of(const Address& address);
std::uint16_t port_of(const Address& address);
Result<Address> local_address(int fd);
// The numeric address that the kernel would send from to a peer.
Result<std::string> own_address(const Address& peer);

// A stream connection, non-blocking, TCP_NODELAY set for TCP.
Result<UniqueFd> connect_until(const Address& address, Clock::time_point deadline);
// A listening stream socket, non-blocking.
Result<UniqueFd> listen_on(const Address& address);

// Names the refused algorithm and what the kernel allows to whom has no CAP_NET_ADMIN.
Result<void> set_congestion_control(int fd, const std::string& name);
std::string congestion_control_of(int fd);
// TCP_INFO's total retransmitted segments.
std::uint32_t retransmits_of(int fd);
// TCP_INFO's smoothed round-trip time.
std::chrono::microseconds round_trip_of(int fd);
// close() sends RST: what still queues is of no interest to anyone.
void reset_on_close(int fd);

// Milliseconds until then for poll(), 0 if past, at most `most`.
int milliseconds_until(Clock::time_point then, int most);
// False at the deadline.
bool wait_for(int fd, short events, Clock::time_point deadline);
Result<void> read_exactly(int fd, void* data, std::size_t size, Clock::time_point deadline);
Result<void> write_all(int fd, const void* data, std::size_t size, Clock::time_point deadline);

}  // namespace natra::traffic
