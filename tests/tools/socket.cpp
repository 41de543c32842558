// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/socket.hpp"

#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

namespace natra::traffic {
namespace {

using Code = Error::Code;

void set_no_delay(int fd) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

std::string allowed_congestion_controls() {
    std::ifstream file("/proc/sys/net/ipv4/tcp_allowed_congestion_control");
    std::string line;
    std::getline(file, line);
    return line;
}

// All zero if the kernel refuses.
tcp_info info_of(int fd) {
    tcp_info info{};
    socklen_t length = sizeof info;
    if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return {};
    return info;
}

}  // namespace

Result<Address> ip_address(const std::string& host, std::uint16_t port) {
    Address address;
    auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
    if (::inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        address.length = sizeof *v4;
    } else if (::inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        address.length = sizeof *v6;
    } else {
        return fail(Code::invalid_argument, "\"", host, "\" is neither an IPv4 nor an IPv6 address");
    }
    return address;
}

Result<Address> unix_address(const std::string& path) {
    Address address;
    auto* name = reinterpret_cast<sockaddr_un*>(&address.storage);
    if (path.empty() || path.size() >= sizeof name->sun_path)
        return fail(Code::invalid_argument, "socket path \"", path, "\" must have 1 to ", sizeof name->sun_path - 1,
                    " bytes");
    name->sun_family = AF_UNIX;
    std::memcpy(name->sun_path, path.c_str(), path.size() + 1);
    address.length = sizeof *name;
    return address;
}

std::string host_of(const Address& address) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    const void* bytes = &reinterpret_cast<const sockaddr_in*>(&address.storage)->sin_addr;
    if (address.family() == AF_INET6) bytes = &reinterpret_cast<const sockaddr_in6*>(&address.storage)->sin6_addr;
    if (::inet_ntop(address.family(), bytes, text.data(), text.size()) == nullptr) return "?";
    return text.data();
}

std::uint16_t port_of(const Address& address) {
    // sin_port and sin6_port share their offset.
    return ntohs(reinterpret_cast<const sockaddr_in*>(&address.storage)->sin_port);
}

Result<Address> local_address(int fd) {
    Address address;
    address.length = sizeof address.storage;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length) != 0)
        return fail_errno(Code::kernel, errno, "getsockname");
    return address;
}

Result<std::string> own_address(const Address& peer) {
    const UniqueFd fd(::socket(peer.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!fd) return fail_errno(Code::kernel, errno, "UDP socket");
    if (::connect(fd.get(), peer.get(), peer.length) != 0) return fail_errno(Code::kernel, errno, "route");
    const auto local = local_address(fd.get());
    if (!local) return local.error();
    return host_of(*local);
}

Result<UniqueFd> connect_until(const Address& address, Clock::time_point deadline) {
    UniqueFd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return fail_errno(Code::kernel, errno, "stream socket");
    if (address.family() != AF_UNIX) set_no_delay(fd.get());
    if (::connect(fd.get(), address.get(), address.length) == 0) return fd;
    int error = errno;
    if (error == EINPROGRESS) {
        if (!wait_for(fd.get(), POLLOUT, deadline)) return fail_errno(Code::kernel, ETIMEDOUT, "connect");
        socklen_t length = sizeof error;
        if (::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
    }
    if (error != 0) return fail_errno(Code::kernel, error, "connect");
    return fd;
}

Result<UniqueFd> listen_on(const Address& address) {
    UniqueFd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return fail_errno(Code::kernel, errno, "stream socket");
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(fd.get(), address.get(), address.length) != 0) return fail_errno(Code::kernel, errno, "bind");
    if (::listen(fd.get(), 4096) != 0) return fail_errno(Code::kernel, errno, "listen");
    return fd;
}

Result<void> set_congestion_control(int fd, const std::string& name) {
    if (::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), static_cast<socklen_t>(name.size())) == 0) return {};
    const int error = errno;
    return fail_errno(Code::unsupported, error, "congestion control \"", name,
                      "\" refused (allowed without privilege: ", allowed_congestion_controls(), ")");
}

std::string congestion_control_of(int fd) {
    std::array<char, 32> name{};
    socklen_t length = name.size() - 1;
    if (::getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), &length) != 0) return "?";
    return name.data();
}

std::uint32_t retransmits_of(int fd) { return info_of(fd).tcpi_total_retrans; }

std::chrono::microseconds round_trip_of(int fd) { return std::chrono::microseconds(info_of(fd).tcpi_rtt); }

void reset_on_close(int fd) {
    const linger now{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

int milliseconds_until(Clock::time_point then, int most) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(then - Clock::now()).count();
    return static_cast<int>(std::clamp<long long>(left, 0, most));
}

bool wait_for(int fd, short events, Clock::time_point deadline) {
    for (;;) {
        pollfd entry{.fd = fd, .events = events, .revents = 0};
        const int ready = ::poll(&entry, 1, milliseconds_until(deadline, 60'000));
        if (ready > 0) return true;
        if (ready < 0 && errno != EINTR) return true;  // the call that follows reports what is wrong with fd
        if (Clock::now() >= deadline) return false;
    }
}

Result<void> read_exactly(int fd, void* data, std::size_t size, Clock::time_point deadline) {
    auto* at = static_cast<char*>(data);
    while (size > 0) {
        const ssize_t got = ::recv(fd, at, size, MSG_DONTWAIT);
        if (got > 0) {
            at += got;
            size -= static_cast<std::size_t>(got);
        } else if (got == 0) {
            return fail_errno(Code::kernel, ECONNRESET, "the peer closed the connection");
        } else if (errno == EAGAIN || errno == EINTR) {
            if (!wait_for(fd, POLLIN, deadline)) return fail_errno(Code::kernel, ETIMEDOUT, "read");
        } else {
            return fail_errno(Code::kernel, errno, "read");
        }
    }
    return {};
}

Result<void> write_all(int fd, const void* data, std::size_t size, Clock::time_point deadline) {
    const auto* at = static_cast<const char*>(data);
    while (size > 0) {
        const ssize_t put = ::send(fd, at, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (put > 0) {
            at += put;
            size -= static_cast<std::size_t>(put);
        } else if (errno == EAGAIN || errno == EINTR) {
            if (!wait_for(fd, POLLOUT, deadline)) return fail_errno(Code::kernel, ETIMEDOUT, "write");
        } else {
            return fail_errno(Code::kernel, errno, "write");
        }
    }
    return {};
}

}  // namespace natra::traffic
