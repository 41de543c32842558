// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/udp.hpp"

#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace natra::traffic {
namespace {

using namespace std::chrono_literals;
using Code = Error::Code;

constexpr std::size_t batch = 64;
constexpr std::uint16_t first_source_port = 20000;
// As many as there are, one after the other: none comes again soon.
constexpr std::uint64_t all_ports = 65536 - 1024;

// A raw socket, since only there the source port may change with every packet.
Result<UniqueFd> raw_udp_socket(const Address& to) {
    UniqueFd fd(::socket(to.family(), SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP));
    if (!fd) return fail_errno(Code::kernel, errno, "raw UDP socket");
    // Raw sockets get a copy of every datagram that comes in: this one wants none.
    sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    const sock_fprog filter{.len = 1, .filter = &nothing};
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) != 0)
        return fail_errno(Code::kernel, errno, "SO_ATTACH_FILTER");
    // Packets that wait in the pod's own queue are charged to this socket: the flood must not stop for them.
    const int bytes = 256 * 1024 * 1024;
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0)
        return fail_errno(Code::kernel, errno, "SO_SNDBUFFORCE");
    if (to.family() == AF_INET6) {
        const int checksum_offset = offsetof(udphdr, uh_sum);  // IPv6 has no UDP without one
        if (::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_CHECKSUM, &checksum_offset, sizeof checksum_offset) != 0)
            return fail_errno(Code::kernel, errno, "IPV6_CHECKSUM");
    }
    // A raw IPv6 socket takes the address' port for a protocol number and wants 0 there.
    Address bare = to;
    reinterpret_cast<sockaddr_in6*>(&bare.storage)->sin6_port = 0;
    if (::connect(fd.get(), bare.get(), bare.length) != 0) return fail_errno(Code::kernel, errno, "connect");
    return fd;
}

nlohmann::json no_packets() {
    return {{"offered_packets", 0}, {"sent_packets", 0}, {"refused_packets", 0}, {"send_error", ""}};
}

std::chrono::duration<double> interval_of(const UdpPlan& plan, int family) {
    return std::chrono::duration<double>(8.0 * static_cast<double>(wire_bytes(plan.payload, family)) /
                                         static_cast<double>(plan.rate));
}

nlohmann::json flood(const Address& to, const UdpPlan& plan) {
    auto out = no_packets();
    auto fd = raw_udp_socket(to);
    if (!fd) {
        out["send_error"] = fd.error().what;
        return out;
    }
    const auto interval = interval_of(plan, to.family());

    std::array<std::vector<char>, batch> packets;
    std::array<iovec, batch> vectors{};
    std::array<mmsghdr, batch> messages{};
    for (std::size_t i = 0; i < batch; ++i) {
        packets[i].resize(sizeof(udphdr) + plan.payload);
        vectors[i] = {.iov_base = packets[i].data(), .iov_len = packets[i].size()};
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    std::uint64_t offered = 0;
    std::uint64_t sent = 0;
    const auto start = Clock::now();
    for (auto now = start; now < start + plan.duration; now = Clock::now()) {
        const auto due = static_cast<std::uint64_t>(std::chrono::duration<double>(now - start) / interval);
        const auto count = static_cast<unsigned>(std::min<std::uint64_t>(due - std::min(due, offered), batch));
        if (count == 0) {
            std::this_thread::sleep_for(200us);
            continue;
        }
        for (unsigned i = 0; i < count; ++i) {
            udphdr header{};
            header.uh_sport = htons(static_cast<std::uint16_t>(
                plan.flows == 0 ? 1024 + (offered + i) % all_ports : first_source_port + (offered + i) % plan.flows));
            header.uh_dport = htons(port_of(to));
            header.uh_ulen = htons(static_cast<std::uint16_t>(packets[i].size()));
            std::memcpy(packets[i].data(), &header, sizeof header);
        }
        offered += count;
        // sendmmsg stops at the first refusal: the rest of the batch is offered no more, as on a full line.
        const int done = ::sendmmsg(fd->get(), messages.data(), count, MSG_DONTWAIT);
        if (done > 0) sent += static_cast<std::uint64_t>(done);
        if (done < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EINTR && errno != ECONNREFUSED) {
            out["send_error"] = fail_errno(Code::kernel, errno, "sendmmsg").what;
            break;
        }
    }
    out["offered_packets"] = offered;
    out["sent_packets"] = sent;
    out["refused_packets"] = offered - sent;
    return out;
}

// send() waits where the socket's buffer is full, so nothing is refused: who sends slower than planned was held back.
nlohmann::json send_patiently(const Address& to, const UdpPlan& plan) {
    auto out = no_packets();
    const UniqueFd fd(::socket(to.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!fd || ::connect(fd.get(), to.get(), to.length) != 0) {
        out["send_error"] = fail_errno(Code::kernel, errno, "UDP socket").what;
        return out;
    }
    const timeval patience{.tv_sec = 0, .tv_usec = 100'000};  // to notice the end
    ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    const auto interval = interval_of(plan, to.family());
    const std::vector<char> data(plan.payload);
    std::uint64_t sent = 0;
    const auto start = Clock::now();
    for (auto now = start; now < start + plan.duration; now = Clock::now()) {
        if (static_cast<double>(sent) * interval > now - start) {
            std::this_thread::sleep_for(200us);
            continue;
        }
        if (::send(fd.get(), data.data(), data.size(), 0) >= 0) {
            ++sent;
        } else if (errno != EAGAIN && errno != EINTR && errno != ECONNREFUSED) {
            out["send_error"] = fail_errno(Code::kernel, errno, "send").what;
            break;
        }
    }
    out["offered_packets"] = out["sent_packets"] = sent;
    return out;
}

}  // namespace

std::size_t wire_bytes(std::size_t payload, int family) {
    constexpr std::size_t ethernet = 14;
    constexpr std::size_t mtu = 1500;
    const std::size_t ip = family == AF_INET6 ? 40 : 20;
    const std::size_t datagram = payload + sizeof(udphdr);
    if (ip + datagram <= mtu) return ethernet + ip + datagram;
    const std::size_t headers = ip + (family == AF_INET6 ? 8 : 0);  // IPv6 has a header for fragments
    const std::size_t room = (mtu - headers) / 8 * 8;
    return datagram + (datagram + room - 1) / room * (ethernet + headers);
}

nlohmann::json send_udp(const Address& to, const UdpPlan& plan) {
    return plan.sender == UdpSender::socket ? send_patiently(to, plan) : flood(to, plan);
}

Result<UniqueFd> udp_receiver(int family) {
    auto any = ip_address(family == AF_INET6 ? "::" : "0.0.0.0", 0);
    if (!any) return any.error();
    UniqueFd fd(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!fd) return fail_errno(Code::kernel, errno, "UDP socket");
    const int bytes = 64 * 1024 * 1024;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    if (::bind(fd.get(), any->get(), any->length) != 0) return fail_errno(Code::kernel, errno, "bind");
    return fd;
}

Result<std::unique_ptr<UdpSink>> UdpSink::open(int family, std::chrono::seconds duration) {
    auto fd = udp_receiver(family);
    if (!fd) return fd.error();
    auto bound = local_address(fd->get());
    if (!bound) return bound.error();
    return std::unique_ptr<UdpSink>(new UdpSink(std::move(*fd), port_of(*bound), duration));
}

UdpSink::~UdpSink() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
}

void UdpSink::start() {
    start_ = Clock::now();
    meter_ = std::make_unique<WireMeter>(start_, duration_);
    thread_ = std::thread([this] { receive(); });
}

void UdpSink::receive() {
    static constexpr std::size_t kept = 2048;  // what follows is cut off, its length still counts
    std::vector<char> space(batch * kept);
    std::array<iovec, batch> vectors{};
    std::array<mmsghdr, batch> messages{};
    for (std::size_t i = 0; i < batch; ++i) {
        vectors[i] = {.iov_base = &space[i * kept], .iov_len = kept};
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    const auto end = start_ + duration_;
    while (!stop_ && Clock::now() < end) {
        if (!wait_for(fd_.get(), POLLIN, std::min(end, Clock::now() + 100ms))) continue;
        const int got = ::recvmmsg(fd_.get(), messages.data(), batch, MSG_DONTWAIT | MSG_TRUNC, nullptr);
        const auto now = Clock::now();
        for (int i = 0; i < got; ++i) {
            ++packets_;
            received_.add(now - start_, messages[static_cast<std::size_t>(i)].msg_len);
        }
    }
}

nlohmann::json UdpSink::report() {
    if (thread_.joinable()) thread_.join();
    nlohmann::json out{{"received_packets", packets_},
                       {"first_second_bytes", received_.first_second_bytes()},
                       {"later_bytes", received_.later_bytes()},
                       {"timeline_bytes", received_.to_json()}};
    if (meter_) out["wire"] = meter_->result();
    return out;
}

}  // namespace natra::traffic
