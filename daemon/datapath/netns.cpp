// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/netns.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <iterator>
#include <stdexcept>
#include <system_error>

#include "daemon/util/log.hpp"

namespace natra::datapath {

using Code = Error::Code;

Result<NetnsId> netns_id(int fd) {
    // The kind of file first: the ioctl's number may mean anything to a device that somebody passed.
    struct statfs filesystem {};
    if (::fstatfs(fd, &filesystem) < 0 || filesystem.f_type != NSFS_MAGIC || ::ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
        return fail(Code::invalid_argument, "netns: the descriptor is not a network namespace");
    struct stat info {};
    if (::fstat(fd, &info) < 0) return fail_errno(Code::kernel, errno, "stat network namespace");
    return NetnsId{.dev = info.st_dev, .ino = info.st_ino};
}

Result<UniqueFd> open_netns(const std::string& path) {
    // Without waiting: the path may lead to a FIFO or a terminal.
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!fd) {
        // Without descriptors, memory or the permission to look nothing is known of the namespace.
        constexpr int gone[] = {ENOENT, ENOTDIR, ESRCH, ENXIO, ENODEV, ELOOP, ENAMETOOLONG};
        const int error = errno;
        const bool is_gone = std::find(std::begin(gone), std::end(gone), error) != std::end(gone);
        auto out = fail_errno(is_gone ? Code::no_device : Code::kernel, error, "failed to open netns \"", path, "\"");
        if (error == EACCES && path.starts_with("/proc/")) out.what += " (natrad has no CAP_SYS_PTRACE)";
        return out;
    }
    if (auto id = netns_id(fd.get()); !id) return fail(Code::no_device, "\"", path, "\" is not a network namespace");
    return fd;
}

NetnsWorker::NetnsWorker() : home_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
    if (!home_) throw std::system_error(errno, std::generic_category(), "open own network namespace");
    const auto id = netns_id(home_.get());
    if (!id) throw std::runtime_error(id.error().what);
    home_id_ = *id;
}

NetnsWorker::Visit::Visit(int netns_fd, int home_fd) : home_fd_(home_fd) {
    if (netns_fd < 0) return;
    away_ = ::setns(netns_fd, CLONE_NEWNET) == 0;
    if (!away_) error_ = errno;
}

NetnsWorker::Visit::~Visit() {
    if (!away_ || ::setns(home_fd_, CLONE_NEWNET) == 0) return;
    log::error("cannot return to the host's network namespace");
    std::abort();
}

}  // namespace natra::datapath
