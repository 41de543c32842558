// SPDX-License-Identifier: Apache-2.0
// Against DNS rebinding: a page of anybody's, in a browser on the node, reaches the loopback under a name that its
// author has pointed there.
#pragma once

#include <string_view>

namespace natra::api {

// True if a Host header ("localhost:9475") is an IP address, "localhost", a name below it, or `hostname`, whole or up
// to its first dot. No DNS server has a say in these.
bool is_local_host(std::string_view host, std::string_view hostname);

// gethostname(); empty if it fails.
std::string_view own_hostname();

}  // namespace natra::api
