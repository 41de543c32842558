// SPDX-License-Identifier: Apache-2.0
#include "api/listeners.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "daemon/util/log.hpp"

namespace natra::api {
namespace {

using Code = Error::Code;

Result<sockaddr_un> address_of(const std::string& path) {
    sockaddr_un out{};
    out.sun_family = AF_UNIX;
    if (path.size() >= sizeof out.sun_path)
        return fail(Code::invalid_argument, path, ": longer than ", sizeof out.sun_path - 1, " bytes");
    std::memcpy(out.sun_path, path.data(), path.size());
    return out;
}

const sockaddr* generic(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

// Nobody's if `group` is empty.
Result<void> give_to(const std::string& path, const std::string& group) {
    if (group.empty()) return {};
    const auto* const found = ::getgrnam(group.c_str());
    if (found == nullptr) return fail(Code::not_found, "\"", group, "\" is no group here");
    if (::chown(path.c_str(), 0, found->gr_gid) < 0) return fail_errno(Code::kernel, errno, "chown to \"", group, "\"");
    return {};
}

UniqueFd stream_socket() { return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }

}  // namespace

Result<std::vector<Listener>> activated_listeners() {
    char** names = nullptr;
    const int count = sd_listen_fds_with_names(1, &names);
    if (count < 0) return fail_errno(Code::kernel, -count, "sockets from systemd");
    std::vector<Listener> out;
    for (int i = 0; i < count; ++i) {
        const int fd = SD_LISTEN_FDS_START + i;
        const std::string name = names[i];
        std::free(names[i]);  // NOLINT(cppcoreguidelines-no-malloc): sd-daemon allocated it
        if (name != full_name && name != read_only_name) {
            log::warning(concat("a socket \"", name, "\" from systemd is not used"));
            continue;
        }
        if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0) {
            log::warning(concat("the socket \"", name, "\" from systemd is no stream socket that listens"));
            continue;
        }
        ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
        // Who is at the other end is known of Unix sockets only.
        const bool local = sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) > 0;
        out.push_back({.fd = UniqueFd(fd), .read_only = name == read_only_name || !local});
    }
    std::free(names);  // NOLINT(cppcoreguidelines-no-malloc): sd-daemon allocated it
    return out;
}

Result<Listener> listen_at(const std::string& path, const std::string& group) {
    const auto address = address_of(path);
    if (!address) return address.error();
    auto probe = stream_socket();
    auto fd = stream_socket();
    if (!probe || !fd) return fail_errno(Code::kernel, errno, path);
    if (::connect(probe.get(), generic(*address), sizeof *address) == 0 || errno == EAGAIN)
        return fail(Code::already_exists, path, ": somebody listens there");
    // One that a natrad left behind refuses, but so does whatever is no socket.
    struct stat info {};
    if (errno == ECONNREFUSED && ::lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) ::unlink(path.c_str());
    // Nobody can connect before listen(), and by then mode and owner are set.
    if (::bind(fd.get(), generic(*address), sizeof *address) < 0)
        return fail_errno(Code::kernel, errno, "listen at ", path);
    if (auto r = give_to(path, group); !r)
        log::warning(concat(path, " is for root alone: api.group: ", r.error().what));
    if (::chmod(path.c_str(), 0660) < 0 || ::listen(fd.get(), SOMAXCONN) < 0)
        return fail_errno(Code::kernel, errno, "listen at ", path);
    return Listener{.fd = std::move(fd), .read_only = false, .own = true};
}

}  // namespace natra::api
