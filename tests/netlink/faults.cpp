// SPDX-License-Identifier: Apache-2.0
#include "tests/netlink/faults.hpp"

#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <vector>

namespace natra::datapath::testing {
namespace {

thread_local RefusedRequest* refused = nullptr;
thread_local SwallowedRequests* swallowed = nullptr;
thread_local InterruptedDumps* interrupted = nullptr;

std::atomic<FailingRequests*> failing = nullptr;
std::atomic<RefusedVisit*> refused_visit = nullptr;
std::atomic<int> deadly = 0;
std::atomic<int> sent = 0;

constexpr std::uint16_t unknown_type = 0x3fff;  // above RTM_MAX

}  // namespace

RefusedRequest::RefusedRequest(int type, int nth) : type_(type), left_(nth) { refused = this; }
RefusedRequest::~RefusedRequest() { refused = nullptr; }

FailingRequests::FailingRequests(int type, int error, int count)
    : type_(type), error_(error), count_(count), left_(count) {
    failing = this;
}
FailingRequests::~FailingRequests() { failing = nullptr; }

RefusedVisit::RefusedVisit(int nth, int error) : error_(error), left_(nth) { refused_visit = this; }
RefusedVisit::~RefusedVisit() { refused_visit = nullptr; }

void die_at_request(int nth) {
    sent = 0;
    deadly = nth;
}
int requests_sent() { return sent.load(); }

SwallowedRequests::SwallowedRequests() { swallowed = this; }
SwallowedRequests::~SwallowedRequests() { swallowed = nullptr; }

InterruptedDumps::InterruptedDumps(int count) : left_(count) { interrupted = this; }
InterruptedDumps::~InterruptedDumps() { interrupted = nullptr; }

void InterruptedDumps::interrupt(char* datagram, std::size_t length) {
    bool dump = false;
    nlmsghdr header{};
    for (std::size_t at = 0; left_ > 0 && at + sizeof header <= length; at += NLMSG_ALIGN(header.nlmsg_len)) {
        std::memcpy(&header, datagram + at, sizeof header);
        if ((header.nlmsg_flags & NLM_F_MULTI) == 0) continue;
        dump = true;
        header.nlmsg_flags |= NLM_F_DUMP_INTR;
        std::memcpy(datagram + at, &header, sizeof header);
    }
    if (dump) --left_;
}

// The linker's names.
// NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,readability-identifier-naming)
extern "C" {

ssize_t __real_mnl_socket_sendto(const mnl_socket* socket, const void* request, std::size_t length);
ssize_t __wrap_mnl_socket_sendto(const mnl_socket* socket, const void* request, std::size_t length) {
    if (swallowed != nullptr) return static_cast<ssize_t>(length);
    if (++sent == deadly.load()) ::_exit(0);
    nlmsghdr header{};
    std::memcpy(&header, request, sizeof header);
    if (auto* const now = failing.load())
        if (const int error = now->error_of(header.nlmsg_type); error != 0) {
            errno = error;
            return -1;
        }
    if (refused == nullptr || !refused->refuses(header.nlmsg_type))
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
    if (n > 0 && interrupted != nullptr && message->msg_iovlen == 1)
        interrupted->interrupt(static_cast<char*>(message->msg_iov[0].iov_base), static_cast<std::size_t>(n));
    return n;
}

int __real_setns(int fd, int type);
int __wrap_setns(int fd, int type) {
    auto* const now = refused_visit.load();
    struct stat there {};
    struct stat home {};
    const bool leaves = now != nullptr && ::fstat(fd, &there) == 0 && ::stat("/proc/self/ns/net", &home) == 0 &&
                        there.st_ino != home.st_ino;
    if (const int error = leaves ? now->error_of_next() : 0; error != 0) {
        errno = error;
        return -1;
    }
    return __real_setns(fd, type);
}

}  // extern "C"
// NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp,readability-identifier-naming)

}  // namespace natra::datapath::testing
