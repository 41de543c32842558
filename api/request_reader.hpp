// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 requests out of bytes, strictly (RFC 9112). Pure. In place of
// Pistache's own parser: that of 0.0.5 reads beyond numbers, reserves memory for
// whatever Content-Length claims and answers with texts of C++ exceptions.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "api/chunk_reader.hpp"
#include "api/message.hpp"

namespace natra::api {

class RequestReader {
public:
    static constexpr std::size_t max_head_bytes = 16UL * 1024;
    static constexpr std::size_t max_target_bytes = 4096;
    static constexpr std::size_t max_headers = 64;
    static constexpr std::size_t max_body_bytes = 64UL * 1024;

    enum class State {
        incomplete,
        complete,  // request() is there; bytes behind it were ignored
        refused,   // status() and detail() say why
    };

    // Nothing changes any more once the state is another than incomplete.
    State feed(std::string_view bytes);
    [[nodiscard]] State state() const { return state_; }

    [[nodiscard]] const Request& request() const { return request_; }
    [[nodiscard]] int status() const { return status_; }  // of HTTP, 400 to 505
    [[nodiscard]] const std::string& detail() const { return detail_; }
    // The client waits for "100 Continue" before it sends the body.
    [[nodiscard]] bool awaits_continue() const;

private:
    State refuse(int status, std::string detail);
    State take_head(std::string_view head);
    State take_request_line(std::string_view line);
    State take_header(std::string_view line);
    State take_target(std::string_view target);
    State take_framing();
    State take_body();
    State take_chunks();

    State state_ = State::incomplete;
    bool head_done_ = false;
    bool old_version_ = false;      // HTTP/1.0
    std::string authority_;         // of an absolute target
    std::string buffer_;            // the head while it is incomplete, then the body
    std::size_t empty_lines_ = 0;   // before the request line
    bool half_empty_line_ = false;  // a CR of one was read
    std::size_t headers_ = 0;
    std::optional<ChunkReader> chunks_;  // if the body comes in chunks
    std::size_t body_bytes_ = 0;
    Request request_;
    int status_ = 0;
    std::string detail_;
};

}  // namespace natra::api
