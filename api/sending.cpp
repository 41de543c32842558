// SPDX-License-Identifier: Apache-2.0
#include "api/sending.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>

#include "api/problem.hpp"
#include "daemon/util/error.hpp"

namespace natra::api {
namespace {

std::string head_of(const Response& response) {
    auto out = concat("HTTP/1.1 ", response.status, " ", reason_phrase(response.status), "\r\n");
    if (!response.content_type.empty()) out += concat("Content-Type: ", response.content_type, "\r\n");
    for (const auto& [name, value] : response.headers) out += concat(name, ": ", value, "\r\n");
    // Of 304 it would be that of the document which is not sent.
    if (response.status != 304) out += concat("Content-Length: ", response.body.size(), "\r\n");
    out += concat("Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n");
    return out;
}

}  // namespace

Message::Message(const Response& response, bool with_body)
    : head(head_of(response)), body(with_body ? std::string_view(response.body) : std::string_view()) {}

bool send_at_once(int fd, std::string_view head, std::string_view body) {
    const auto part = [](std::string_view text) {
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): sendmsg() only reads
        return iovec{.iov_base = const_cast<char*>(text.data()), .iov_len = text.size()};
    };
    while (!head.empty() || !body.empty()) {
        std::array<iovec, 2> parts{part(head), part(body)};
        const msghdr message{.msg_iov = parts.data(), .msg_iovlen = parts.size()};
        const auto result = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (result < 0 && errno == EINTR) continue;
        if (result <= 0) return false;
        const auto sent = static_cast<std::size_t>(result);
        const auto of_head = std::min(sent, head.size());
        head.remove_prefix(of_head);
        body.remove_prefix(sent - of_head);
    }
    return true;
}

bool send_answer(int fd, const Message& message) {
    // The kernel counts its own overhead, too, and doubles what it is told. Forcing needs CAP_NET_ADMIN.
    const int room = static_cast<int>(std::min<std::size_t>(message.size() + 32UL * 1024, 64 << 20));
    if (::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) < 0)
        ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    const bool whole = send_at_once(fd, message.head, message.body);
    ::shutdown(fd, whole ? SHUT_WR : SHUT_RDWR);
    return whole;
}

}  // namespace natra::api
