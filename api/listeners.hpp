// SPDX-License-Identifier: Apache-2.0
// Where the interface listens: what systemd hands over, or a socket of natrad's own.
#pragma once

#include <string>
#include <vector>

#include "api/http_server.hpp"
#include "daemon/util/error.hpp"

namespace natra::api {

// FileDescriptorName= of the socket units.
inline constexpr const char* full_name = "api";
inline constexpr const char* read_only_name = "api-readonly";

// The sockets that systemd hands over under these names; others are named in the log and left alone. Once.
Result<std::vector<Listener>> activated_listeners();

// A Unix socket at `path`, mode 0660, for root and `group`; with an empty one, and with one that cannot have it, which
// the log tells, for root alone. One that a process which has ended left there is replaced; Code::already_exists if
// somebody listens there. Not thread-safe.
Result<Listener> listen_at(const std::string& path, const std::string& group);

}  // namespace natra::api
