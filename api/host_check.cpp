// SPDX-License-Identifier: Apache-2.0
#include "api/host_check.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <string>

#include "api/text.hpp"

namespace natra::api {
namespace {

bool is_address(int family, std::string_view text) {
    in6_addr out{};
    return ::inet_pton(family, std::string(text).c_str(), &out) == 1;
}

}  // namespace

bool is_local_host(std::string_view host, std::string_view hostname) {
    if (host.starts_with('[')) {
        const auto end = host.find(']');
        return end != std::string_view::npos && is_address(AF_INET6, host.substr(1, end - 1));
    }
    const auto name = lower_case(host.substr(0, host.find(':')));
    if (name == "localhost" || name.ends_with(".localhost") || is_address(AF_INET, name)) return true;
    const auto own = lower_case(hostname);
    return !own.empty() && (name == own || name == own.substr(0, own.find('.')));
}

std::string_view own_hostname() {
    static const std::string name = [] {
        std::array<char, HOST_NAME_MAX + 1> buffer{};
        return ::gethostname(buffer.data(), buffer.size() - 1) == 0 ? std::string(buffer.data()) : std::string();
    }();
    return name;
}

}  // namespace natra::api
