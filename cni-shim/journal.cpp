// SPDX-License-Identifier: Apache-2.0
#include "cni-shim/journal.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstdlib>

#include "daemon/util/unique_fd.hpp"

namespace natra::shim {

bool send_to_journal(const std::string& path, const JournalFields& fields) {
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    if (path.size() >= sizeof address.sun_path) return false;
    std::copy(path.begin(), path.end(), address.sun_path);
    const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return false;
    std::string entry;
    for (const auto& [name, value] : fields) {
        entry.append(name).push_back('=');
        std::replace_copy(value.begin(), value.end(), std::back_inserter(entry), '\n', ' ');
        entry.push_back('\n');
    }
    // sockets of the kernel know their address as the general kind
    const auto* const to = reinterpret_cast<const sockaddr*>(&address);
    return ::sendto(fd.get(), entry.data(), entry.size(), MSG_NOSIGNAL, to, sizeof address) ==
           static_cast<ssize_t>(entry.size());
}

std::string journal_socket() {
    const char* const other = std::getenv("NATRA_JOURNAL_SOCKET");
    return other == nullptr || *other == '\0' ? "/run/systemd/journal/socket" : other;
}

}  // namespace natra::shim
