// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/netlink_socket.hpp"

#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace natra::datapath {
namespace {

using Code = Error::Code;

constexpr int max_dump_attempts = 10;
// The kernel answers before send() returns, however long it waited for RTNL, so this is never
// waited for; without it an answer that got lost would hold its thread for good.
constexpr timeval answer_timeout{.tv_sec = 5, .tv_usec = 0};

Error failure(int error, const std::string& what, const std::string& text) {
    const auto code = error == ENODEV ? Code::no_device : Code::kernel;
    return text.empty() ? fail_errno(code, error, what) : fail_errno(code, error, what, " (", text, ")");
}

}  // namespace

NetlinkRequest::NetlinkRequest(std::uint16_t type, int flags) : header_(mnl_nlmsg_put_header(buffer_)) {
    header_->nlmsg_type = type;
    header_->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
}

NetlinkRequest::NetlinkRequest(std::uint16_t type, int flags, int ifindex, std::uint32_t parent, std::uint32_t handle,
                               std::uint32_t info)
    : NetlinkRequest(type, flags) {
    auto& tc = put_fixed_part<tcmsg>();
    tc.tcm_family = AF_UNSPEC;
    tc.tcm_ifindex = ifindex;
    tc.tcm_parent = parent;
    tc.tcm_handle = handle;
    tc.tcm_info = info;
}

void NetlinkRequest::put(std::uint16_t type, std::string_view text) {
    if (!mnl_attr_put_strz_check(header_, sizeof buffer_, type, std::string(text).c_str())) overflow_ = true;
}

Netlink::Socket::~Socket() {
    if (mnl != nullptr) mnl_socket_close(mnl);
}

struct Netlink::Socket::Answers {
    std::vector<std::vector<std::byte>> messages;  // each with its header
    std::optional<NetlinkOutcome> outcome;
    bool interrupted = false;
};

// Takes one datagram.
Result<void> Netlink::Socket::collect(Answers& answers, const std::string& what) {
    sockaddr_nl sender{};
    iovec space{.iov_base = buffer_.data(), .iov_len = buffer_.size()};
    msghdr message{};
    message.msg_name = &sender;
    message.msg_namelen = sizeof sender;
    message.msg_iov = &space;
    message.msg_iovlen = 1;
    const auto n = ::recvmsg(mnl_socket_get_fd(mnl), &message, 0);
    if (n < 0 && errno == EINTR) return {};
    if (n < 0 && errno == EAGAIN)
        return Error{Code::unavailable, ETIMEDOUT,
                     concat(what, ": no answer from the kernel within ", answer_timeout.tv_sec, " s")};
    if (n < 0) return failure(errno, what, "receive");
    if ((message.msg_flags & MSG_TRUNC) != 0) return failure(ENOBUFS, what, "answer of more than 32 kB");
    // In a pod's namespace a process with CAP_NET_ADMIN can write to this socket too.
    if (message.msg_namelen != sizeof sender || sender.nl_pid != 0) return {};

    const Bytes datagram(buffer_.data(), static_cast<std::size_t>(n));
    for_each_message(datagram, [&](const NetlinkMessage& received) {
        // Of an earlier request that was given up.
        if (received.header.nlmsg_seq != sequence) return;
        if ((received.header.nlmsg_flags & NLM_F_DUMP_INTR) != 0) answers.interrupted = true;
        if (auto outcome = parse_outcome(received)) {
            answers.outcome = std::move(outcome);
            return;
        }
        const auto* const first = received.payload.data() - sizeof(nlmsghdr);
        answers.messages.emplace_back(first, first + received.header.nlmsg_len);
    });
    return {};
}

Result<void> Netlink::Socket::exchange(NetlinkRequest& request, const std::string& what, const Receive& receive) {
    if (request.overflow()) return fail(Code::invalid_argument, what, ": too long for a request");
    for (int attempt = 0; attempt < max_dump_attempts; ++attempt) {
        request.header()->nlmsg_seq = ++sequence;
        if (mnl_socket_sendto(mnl, request.header(), request.header()->nlmsg_len) < 0)
            return failure(errno, what, "send");
        Answers answers;
        while (!answers.outcome)
            if (auto r = collect(answers, what); !r) return r;
        if (answers.outcome->error != 0) return failure(answers.outcome->error, what, answers.outcome->text);
        if (answers.interrupted) continue;
        for (const auto& message : answers.messages)
            if (receive) for_each_message(message, receive);
        return {};
    }
    return Error{Code::unavailable, EAGAIN, concat(what, ": changed during each of ", max_dump_attempts, " readings")};
}

Result<Netlink> Netlink::open() {
    auto socket = std::make_unique<Socket>();
    socket->mnl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (socket->mnl == nullptr) return fail_errno(Code::kernel, errno, "open rtnetlink socket");
    if (mnl_socket_bind(socket->mnl, 0, MNL_SOCKET_AUTOPID) < 0)
        return fail_errno(Code::kernel, errno, "bind rtnetlink socket");
    const int fd = mnl_socket_get_fd(socket->mnl);
    if (::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &answer_timeout, sizeof answer_timeout) < 0)
        return fail_errno(Code::kernel, errno, "limit waiting on rtnetlink socket");
    // Only better error texts depend on these.
    int on = 1;
    (void)mnl_socket_setsockopt(socket->mnl, NETLINK_EXT_ACK, &on, sizeof on);
    (void)mnl_socket_setsockopt(socket->mnl, NETLINK_CAP_ACK, &on, sizeof on);
    return Netlink(std::move(socket));
}

Netlink::Netlink(std::unique_ptr<Socket> socket) : socket_(std::move(socket)) {}
Netlink::Netlink(Netlink&&) noexcept = default;
Netlink& Netlink::operator=(Netlink&&) noexcept = default;
Netlink::~Netlink() = default;

}  // namespace natra::datapath
