// SPDX-License-Identifier: Apache-2.0
// One request and one answer, free of any HTTP library.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace natra::api {

struct Request {
    std::string method;                          // "GET", as sent
    std::string target;                          // "/v1/pods?limit=5", still percent-encoded
    std::map<std::string, std::string> headers;  // names in lower case; repeated ones joined by ", "
    std::string body;

    // Empty if absent.
    [[nodiscard]] std::string header(const std::string& name) const {
        const auto found = headers.find(name);
        return found == headers.end() ? std::string() : found->second;
    }
};

// Who asks.
struct Caller {
    bool may_write = false;  // root, over a socket that allows changes
    std::string who;         // for the log: "uid 0, pid 17"
    bool loopback = false;   // over TCP at a loopback address: a browser may ask for anybody
};

struct Response {
    int status = 200;
    std::string content_type;  // empty: there is no body
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;
};

// Many may be sent the same one at once: copies of bodies of megabytes would cost more than to make and send them.
using SharedResponse = std::shared_ptr<const Response>;

inline SharedResponse shared(Response response) { return std::make_shared<const Response>(std::move(response)); }

}  // namespace natra::api
