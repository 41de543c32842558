// SPDX-License-Identifier: Apache-2.0
#include "tests/netlink/faults.hpp"

#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <atomic>
#include <cstddef>
#include <cstring>
#include <vector>

namespace {

std::atomic<int> refused_type{-1};
std::atomic<int> refused_in{0};  // requests of that type until the refused one
std::atomic<bool> swallow{false};
std::atomic<int> interruptions{0};

constexpr std::uint16_t unknown_type = 0x3fff;  // above RTM_MAX

}  // namespace

extern "C" {

ssize_t __real_mnl_socket_sendto(const mnl_socket* socket, const void* request, std::size_t length);
ssize_t __wrap_mnl_socket_sendto(const mnl_socket* socket, const void* request, std::size_t length) {
    if (swallow) return static_cast<ssize_t>(length);
    nlmsghdr header{};
    std::memcpy(&header, request, sizeof header);
    if (header.nlmsg_type != refused_type || --refused_in != 0)
        return __real_mnl_socket_sendto(socket, request, length);
    header.nlmsg_type = unknown_type;
    std::vector<char> altered(length);
    std::memcpy(altered.data(), request, length);
    std::memcpy(altered.data(), &header, sizeof header);
    return __real_mnl_socket_sendto(socket, altered.data(), length);
}

ssize_t __real_recvmsg(int fd, msghdr* message, int flags);
ssize_t __wrap_recvmsg(int fd, msghdr* message, int flags) {
    const auto n = __real_recvmsg(fd, message, flags);
    if (n <= 0 || interruptions == 0 || message->msg_iovlen == 0) return n;
    auto* const base = static_cast<char*>(message->msg_iov[0].iov_base);
    bool dump = false;
    for (std::size_t at = 0; at + sizeof(nlmsghdr) <= static_cast<std::size_t>(n);) {
        nlmsghdr header{};
        std::memcpy(&header, base + at, sizeof header);
        if ((header.nlmsg_flags & NLM_F_MULTI) != 0) {
            dump = true;
            header.nlmsg_flags |= NLM_F_DUMP_INTR;
            std::memcpy(base + at, &header, sizeof header);
        }
        at += NLMSG_ALIGN(header.nlmsg_len);
    }
    if (dump) --interruptions;
    return n;
}

}  // extern "C"

namespace natra::datapath::testing {

RefusedRequest::RefusedRequest(int type, int nth) {
    refused_in = nth;
    refused_type = type;
}
RefusedRequest::~RefusedRequest() { refused_type = -1; }
bool RefusedRequest::happened() const { return refused_in <= 0; }

SwallowedRequests::SwallowedRequests() { swallow = true; }
SwallowedRequests::~SwallowedRequests() { swallow = false; }

InterruptedDumps::InterruptedDumps(int count) { interruptions = count; }
InterruptedDumps::~InterruptedDumps() { interruptions = 0; }
int InterruptedDumps::left() const { return interruptions; }

}  // namespace natra::datapath::testing
