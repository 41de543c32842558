// SPDX-License-Identifier: Apache-2.0
// Answers on their way into a socket, which is made large enough for all of one: nothing waits for a slow reader.
#pragma once

#include <string>
#include <string_view>

#include "api/message.hpp"

namespace natra::api {

// An answer as it is sent. It points to the body: the response must outlive the message.
struct Message {
    Message(const Response& response, bool with_body);
    [[nodiscard]] std::size_t size() const { return head.size() + body.size(); }
    const std::string head;
    const std::string_view body;
};

// At once and whole, or not at all as far as the client can tell: the length in the head is not reached then. False:
// not whole.
bool send_at_once(int fd, std::string_view head, std::string_view body = {});

// The same, into a buffer with room for the whole message; then nothing more is sent. False: the client has seen the
// end of the connection instead.
bool send_answer(int fd, const Message& message);

}  // namespace natra::api
