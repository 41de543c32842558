// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/channel.hpp"

#include <poll.h>

#include <array>
#include <cerrno>

#include "tests/tools/hello.hpp"

namespace natra::traffic {

using Code = Error::Code;

Result<Channel> Channel::to(const std::string& control, const Address& server) {
    Address address = server;
    if (!control.empty()) {
        auto parsed = unix_address(control);
        if (!parsed) return parsed.error();
        address = *parsed;
    }
    const auto deadline = Clock::now() + setup_time;
    auto fd = connect_until(address, deadline);
    if (!fd) return fail(fd.error().code, "control connection to the server: ", fd.error().what);
    const Hello hello{.kind = Kind::control};
    if (auto sent = write_all(fd->get(), &hello, sizeof hello, deadline); !sent) return sent.error();
    return Channel(std::move(*fd));
}

Result<void> Channel::send(const nlohmann::json& message, Clock::time_point deadline) {
    const std::string line = message.dump() + "\n";
    return write_all(fd_.get(), line.data(), line.size(), deadline);
}

Result<nlohmann::json> Channel::receive(Clock::time_point deadline) {
    constexpr std::size_t max_line = 16 * 1024 * 1024;
    for (;;) {
        if (const auto end = pending_.find('\n'); end != std::string::npos) {
            auto message = nlohmann::json::parse(pending_.substr(0, end), nullptr, false);
            pending_.erase(0, end + 1);
            if (!message.is_object()) return fail(Code::invalid_argument, "control line is not a JSON object");
            return message;
        }
        if (pending_.size() > max_line) return fail(Code::invalid_argument, "control line is over 16 MB");
        std::array<char, 65536> buffer;
        const ssize_t got = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got > 0) {
            pending_.append(buffer.data(), static_cast<std::size_t>(got));
        } else if (got == 0) {
            return fail_errno(Code::kernel, ECONNRESET, "control connection closed by the peer");
        } else if (errno != EAGAIN && errno != EINTR) {
            return fail_errno(Code::kernel, errno, "control connection");
        } else if (!wait_for(fd_.get(), POLLIN, deadline)) {
            return fail_errno(Code::kernel, ETIMEDOUT, "control connection");
        }
    }
}

Result<nlohmann::json> Channel::ask(const nlohmann::json& message, Clock::time_point deadline) {
    if (auto sent = send(message, deadline); !sent) return sent.error();
    auto answer = receive(deadline);
    if (answer && answer->contains("error"))
        return fail(Code::unavailable, "server: ", answer->at("error").get<std::string>());
    return answer;
}

}  // namespace natra::traffic
