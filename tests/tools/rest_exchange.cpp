// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/rest_exchange.hpp"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <string_view>

namespace natra::traffic {
namespace {

using Code = Error::Code;

constexpr std::size_t max_head = 16 * 1024;

template <class Number> bool read_number(std::string_view text, Number& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

RestExchange::RestExchange(const Address& server, const std::string& path)
    : server_(server), request_(concat("GET ", path, " HTTP/1.1\r\nHost: localhost\r\n\r\n")) {}

Result<std::optional<UniqueFd>> RestExchange::connect() const {
    UniqueFd fd(::socket(server_.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return fail_errno(Code::kernel, errno, "stream socket");
    if (::connect(fd.get(), server_.get(), server_.length) == 0) return std::optional<UniqueFd>(std::move(fd));
    if (errno == EAGAIN) return std::optional<UniqueFd>();
    return fail_errno(Code::kernel, errno, "connect");
}

Result<void> RestExchange::step() {
    if (!fd_) {
        auto connected = connect();
        if (!connected) return connected.error();
        if (!*connected) return {};
        fd_ = *std::move(*connected);
    }
    while (sent_ < request_.size()) {
        const auto put = ::send(fd_.get(), request_.data() + sent_, request_.size() - sent_, MSG_NOSIGNAL);
        if (put < 0 && errno == EAGAIN) return {};
        if (put < 0 && errno != EINTR) return fail_errno(Code::kernel, errno, "send");
        if (put > 0) sent_ += static_cast<std::size_t>(put);
    }
    for (;;) {
        const auto more = read_some();
        if (!more) return more.error();
        if (done_) fd_.reset();
        if (!*more || done_) return {};
    }
}

Result<bool> RestExchange::read_some() {
    std::array<char, 64 * 1024> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): clearing it would cost more
    const auto got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EAGAIN) return false;
    if (got < 0 && errno == EINTR) return true;
    if (got < 0) return fail_errno(Code::kernel, errno, "receive");
    if (got == 0)
        return fail(Code::kernel, "the connection ended after ", body_bytes_, " of ", length_, " bytes of the body");
    if (auto r = take({buffer.data(), static_cast<std::size_t>(got)}); !r) return r.error();
    return true;
}

Result<void> RestExchange::take(std::string_view bytes) {
    if (head_complete_) {
        body_bytes_ += bytes.size();
    } else {
        head_ += bytes;
        const auto end = head_.find("\r\n\r\n");
        if (end == std::string::npos)
            return head_.size() < max_head ? Result<void>() : fail(Code::kernel, "a head without end");
        body_bytes_ = head_.size() - end - 4;
        head_.resize(end + 2);
        if (auto r = parse_head(); !r) return r;
        head_complete_ = true;
    }
    if (body_bytes_ > length_) return fail(Code::kernel, "a body of ", body_bytes_, " bytes, announced were ", length_);
    done_ = body_bytes_ == length_;
    return {};
}

// natrad writes each header in one way; another one would be news.
Result<void> RestExchange::parse_head() {
    constexpr std::string_view version = "HTTP/1.1 ";
    constexpr std::string_view length = "\r\nContent-Length: ";
    constexpr std::size_t status_digits = 3;
    const std::string_view head = head_;
    if (!head.starts_with(version) || !read_number(head.substr(version.size(), status_digits), status_))
        return fail(Code::kernel, "no answer of HTTP/1.1: \"", head.substr(0, head.find('\r')), "\"");
    const auto at = head.find(length);
    if (at == std::string_view::npos) return fail(Code::kernel, "no Content-Length");
    const auto value = head.substr(at + length.size());
    if (!read_number(value.substr(0, value.find('\r')), length_)) return fail(Code::kernel, "a bad Content-Length");
    return {};
}

}  // namespace natra::traffic
