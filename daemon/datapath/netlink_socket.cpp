// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/netlink_socket.hpp"

#include <sys/socket.h>
#include <time.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace natra::datapath {
namespace {

using Code = Error::Code;

constexpr int max_dump_attempts = 5;

// The kernel's own sentence about a refusal, where it sends one.
std::string extended_text(const nlmsghdr* header) {
    if ((header->nlmsg_flags & NLM_F_ACK_TLVS) == 0) return {};
    std::size_t offset = sizeof(nlmsgerr);
    const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(header));
    // Unless capped the failed request is repeated before the attributes.
    if ((header->nlmsg_flags & NLM_F_CAPPED) == 0) offset += error->msg.nlmsg_len - sizeof(nlmsghdr);
    if (mnl_nlmsg_get_payload_len(header) < offset) return {};
    std::string text;
    for_each_attribute(header, offset, [&](const nlattr* attribute) {
        if (mnl_attr_get_type(attribute) == NLMSGERR_ATTR_MSG) text = concat(" (", mnl_attr_get_str(attribute), ")");
    });
    return text;
}

struct Outcome {
    bool done = false;
    bool interrupted = false;  // a dump that the kernel's tables changed under
    int error = 0;
    std::string text;
};

void digest(const char* data, int length, std::uint32_t sequence,
            const std::function<void(const nlmsghdr*)>& receive, Outcome& out) {
    const auto* header = reinterpret_cast<const nlmsghdr*>(data);
    for (; mnl_nlmsg_ok(header, length); header = mnl_nlmsg_next(header, &length)) {
        if (header->nlmsg_seq != sequence) continue;
        if ((header->nlmsg_flags & NLM_F_DUMP_INTR) != 0) out.interrupted = true;
        if (header->nlmsg_type == NLMSG_ERROR) {
            const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(header));
            out.done = true;
            out.error = -error->error;
            if (out.error != 0) out.text = extended_text(header);
        } else if (header->nlmsg_type == NLMSG_DONE) {
            out.done = true;
        } else if (receive) {
            receive(header);
        }
    }
}

}  // namespace

NetlinkRequest::NetlinkRequest(std::uint16_t type, int flags) : header_(mnl_nlmsg_put_header(buffer_)) {
    header_->nlmsg_type = type;
    header_->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
}

NetlinkRequest::NetlinkRequest(std::uint16_t type, int flags, int ifindex, std::uint32_t parent, std::uint32_t handle,
                               std::uint32_t info)
    : NetlinkRequest(type, flags) {
    tc_ = static_cast<tcmsg*>(mnl_nlmsg_put_extra_header(header_, sizeof(tcmsg)));
    tc_->tcm_family = AF_UNSPEC;
    tc_->tcm_ifindex = ifindex;
    tc_->tcm_parent = parent;
    tc_->tcm_handle = handle;
    tc_->tcm_info = info;
}

void NetlinkRequest::put(std::uint16_t type, std::string_view text) {
    mnl_attr_put_strz(header_, type, std::string(text).c_str());
}

Netlink::Socket::~Socket() {
    if (mnl != nullptr) mnl_socket_close(mnl);
}

Result<void> Netlink::Socket::exchange(NetlinkRequest& request, const std::string& what, const Receive& receive) {
    const bool dump = (request.header()->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
    std::vector<char> buffer(32768);
    for (int attempt = 1;; ++attempt) {
        request.header()->nlmsg_seq = ++sequence;
        if (mnl_socket_sendto(mnl, request.header(), request.header()->nlmsg_len) < 0)
            return fail_errno(Code::kernel, errno, what);
        // Answers of a dump count only when it was not interrupted, so they wait here.
        std::vector<std::vector<char>> held;
        const Receive hold = [&](const nlmsghdr* header) {
            const auto* bytes = reinterpret_cast<const char*>(header);
            held.emplace_back(bytes, bytes + header->nlmsg_len);
        };
        Outcome outcome;
        while (!outcome.done) {
            const auto n = mnl_socket_recvfrom(mnl, buffer.data(), buffer.size());
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return fail_errno(Code::kernel, errno, what);
            digest(buffer.data(), static_cast<int>(n), sequence, hold, outcome);
        }
        if (outcome.error != 0) return fail_errno(Code::kernel, outcome.error, what, outcome.text);
        if (dump && outcome.interrupted && attempt < max_dump_attempts) continue;
        if (receive)
            for (const auto& message : held) receive(reinterpret_cast<const nlmsghdr*>(message.data()));
        return {};
    }
}

Result<Netlink> Netlink::open() {
    auto socket = std::make_unique<Socket>();
    socket->mnl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
    if (socket->mnl == nullptr) return fail_errno(Code::kernel, errno, "open rtnetlink socket");
    if (mnl_socket_bind(socket->mnl, 0, MNL_SOCKET_AUTOPID) < 0)
        return fail_errno(Code::kernel, errno, "bind rtnetlink socket");
    // Only better error texts depend on these.
    int on = 1;
    (void)mnl_socket_setsockopt(socket->mnl, NETLINK_EXT_ACK, &on, sizeof on);
    (void)mnl_socket_setsockopt(socket->mnl, NETLINK_CAP_ACK, &on, sizeof on);
    socket->sequence = static_cast<std::uint32_t>(::time(nullptr));
    return Netlink(std::move(socket));
}

Netlink::Netlink(std::unique_ptr<Socket> socket) : socket_(std::move(socket)) {}
Netlink::Netlink(Netlink&&) noexcept = default;
Netlink& Netlink::operator=(Netlink&&) noexcept = default;
Netlink::~Netlink() = default;

}  // namespace natra::datapath
