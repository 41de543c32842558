// SPDX-License-Identifier: Apache-2.0
// HTTP on sockets that listen already. The only files that see Pistache are this one's.
//
// Every connection serves one request and is closed. An answer goes into the socket's
// buffer, made large enough for all of it, from the worker that read the request: a
// client that reads slowly, or not at all, holds up nobody.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "api/message.hpp"
#include "daemon/util/unique_fd.hpp"

namespace natra::api {

struct Listener {
    UniqueFd fd;  // listens, does not block
    bool read_only = false;
};

struct HttpSettings {
    unsigned workers = 4;
    std::size_t max_connections = 128;              // further ones are answered 503
    std::chrono::milliseconds request_time{10000};  // for a client to send its request
    std::chrono::milliseconds linger_time{2000};    // for a client to close after the answer
};

class HttpServer {
public:
    // On any worker's thread; may block and throw.
    using Handle = std::function<Response(const Request&, const Caller&)>;

    // Throws std::system_error, std::runtime_error.
    HttpServer(std::vector<Listener> listeners, const HttpSettings& settings, Handle handle);
    // Drops what is still open.
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    // Takes no more connections, then calls `meanwhile` until requests under way are answered or the time is over.
    // False if some are not.
    bool drain(std::chrono::milliseconds time, const std::function<void()>& meanwhile);

    struct Figures {
        std::uint64_t open = 0;     // connections
        std::uint64_t refused = 0;  // connections beyond the maximum
        std::uint64_t bad = 0;      // requests that could not be read
        std::uint64_t lost = 0;     // answers that could not be sent whole
    };
    [[nodiscard]] Figures figures() const;

    struct Shared;

private:
    class Impl;
    std::shared_ptr<Shared> shared_;  // before impl_: workers use it
    std::unique_ptr<Impl> impl_;
};

}  // namespace natra::api
