// SPDX-License-Identifier: Apache-2.0
// HTTP on sockets that listen already. The only files that see Pistache are this one's.
//
// Every connection serves one request and is closed. An answer goes into the socket's
// buffer, made large enough for all of it, from the worker that read the request: a
// client that reads slowly, or not at all, holds up nobody, and `Accounts` bounds how
// much of natrad's memory it holds. An answer that takes long is made elsewhere
// (`Later`) and comes back to that worker, which serves others meanwhile.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "api/accounts.hpp"
#include "api/message.hpp"
#include "daemon/util/unique_fd.hpp"

namespace natra::api {

struct Listener {
    UniqueFd fd;  // listens, does not block
    bool read_only = false;
    bool own = false;  // a Unix socket that nobody else listens at, neither now nor later
};

struct HttpSettings {
    unsigned workers = 4;
    Accounts::Bounds bounds;                        // what is beyond them is answered 503
    std::chrono::milliseconds request_time{10000};  // for a client to send its request
    std::chrono::milliseconds answer_time{15000};   // for an answer that is given later; then it is 503
    std::chrono::milliseconds linger_time{2000};    // for a client to close after the answer
    std::chrono::milliseconds stop_time{1000};      // in place of request_time, once the server stops
};

class HttpServer {
public:
    // Gives the answer that Handle left open. Any thread, once; without effect if the connection or the server is gone.
    using Later = std::function<void(SharedResponse)>;
    // On any worker's thread. May throw. Other connections wait for this worker: what takes long returns null and
    // answers by `later`.
    using Handle = std::function<SharedResponse(const Request&, const Caller&, const Later& later)>;
    // On any worker's thread, for each answer to a request that was handled: Handle's, or 503 in its place.
    using Answered = std::function<void(const Request&, int status)>;

    // Throws std::system_error, std::runtime_error.
    HttpServer(std::vector<Listener> listeners, const HttpSettings& settings, Handle handle, Answered answered = {});
    // Drops what is still open.
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    // Takes no more connections, then calls `meanwhile` until all that were taken are answered or the time is over:
    // requests under way as ever, what arrives or is missing now with 503. Of its own sockets it takes those that wait
    // there; who waits at others is the next server's. False if some are not answered.
    bool drain(std::chrono::milliseconds time, const std::function<void()>& meanwhile);

    struct Figures {
        std::uint64_t open = 0;          // connections, those included whose answer is not read
        std::uint64_t unread_bytes = 0;  // of answers
        std::uint64_t refused = 0;       // connections and answers beyond the bounds
        std::uint64_t bad = 0;           // requests that could not be read
        std::uint64_t lost = 0;          // answers that could not be sent whole
    };
    [[nodiscard]] Figures figures() const;

    struct Shared;

private:
    class Impl;
    std::shared_ptr<Shared> shared_;  // before impl_: workers use it
    std::unique_ptr<Impl> impl_;
};

}  // namespace natra::api
