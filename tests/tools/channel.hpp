// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "tests/tools/socket.hpp"

namespace natra::traffic {

// JSON objects, one a line, over a stream connection: how client and server agree on a session.
class Channel {
public:
    // To a server; `control` is its --control path, or empty to go through the network like the traffic does.
    static Result<Channel> to(const std::string& control, const Address& server);

    explicit Channel(UniqueFd fd) : fd_(std::move(fd)) {}

    Result<void> send(const nlohmann::json& message, Clock::time_point deadline);
    // An Error at the deadline, at end of file and for a line over 16 MB.
    Result<nlohmann::json> receive(Clock::time_point deadline);
    // send and receive; an answer with "error" is an Error.
    Result<nlohmann::json> ask(const nlohmann::json& message, Clock::time_point deadline);

private:
    UniqueFd fd_;
    std::string pending_;
};

}  // namespace natra::traffic
