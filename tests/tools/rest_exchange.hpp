// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tests/tools/socket.hpp"

namespace natra::traffic {

// One HTTP GET over a connection of its own, without ever waiting. Call step() until done().
class RestExchange {
public:
    // `path` goes into the request as it is.
    RestExchange(const Address& server, const std::string& path);

    // Goes as far as it can now. An error ends the exchange.
    Result<void> step();
    [[nodiscard]] bool done() const { return done_; }
    // Of the connection, for epoll, from when there is one until it is done: a server whose queue of connections
    // is full has to be asked again a little later.
    [[nodiscard]] int fd() const { return fd_.get(); }
    // Valid when done.
    [[nodiscard]] int status() const { return status_; }
    [[nodiscard]] std::uint64_t body_bytes() const { return body_bytes_; }

private:
    // Absent: its server's queue of connections is full.
    Result<std::optional<UniqueFd>> connect() const;
    Result<bool> read_some();
    Result<void> take(std::string_view bytes);
    Result<void> parse_head();

    const Address server_;
    const std::string request_;
    UniqueFd fd_;
    std::size_t sent_ = 0;
    std::string head_;
    bool head_complete_ = false;
    int status_ = 0;
    std::uint64_t length_ = 0;
    std::uint64_t body_bytes_ = 0;
    bool done_ = false;
};

}  // namespace natra::traffic
