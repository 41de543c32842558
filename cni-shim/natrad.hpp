// SPDX-License-Identifier: Apache-2.0
// natrad as the shim sees it: one call over the system bus, within a deadline.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "cni-shim/cni.hpp"
#include "cni-shim/valid_attachments.hpp"
#include "daemon/cni/request.hpp"

struct sd_bus;
struct sd_bus_message;

namespace natra::shim {

struct Answer {
    enum class Kind {
        done,
        refused,  // natrad looked at the call and said no: `error` is its error's name, `text` its text
        away,     // no decision of natrad's: `text` says why
    };
    Kind kind = Kind::away;
    std::string error;
    std::string text;
    bool may_have_arrived = false;  // with `away`: natrad may carry the call out all the same
};

class Natrad {
public:
    // `timeout` bounds each call, connecting to the bus included.
    explicit Natrad(std::chrono::milliseconds timeout) : timeout_(timeout) {}

    Answer attach(int netns, const Request& request) const;
    Answer check(int netns, const Request& request) const;
    Answer detach(const std::string& container_id, const std::string& interface, const std::string& network) const;
    Answer collect_garbage(const std::string& network, const ValidAttachments& valid) const;
    Answer status() const;

private:
    // Appends the arguments; negative errno on failure.
    using Append = std::function<int(sd_bus_message*)>;
    Answer call(const char* method, const Append& append) const;

    std::chrono::milliseconds timeout_;
};

}  // namespace natra::shim
