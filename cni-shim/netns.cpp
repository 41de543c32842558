// SPDX-License-Identifier: Apache-2.0
#include "cni-shim/netns.hpp"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>

#include "cni-shim/cni.hpp"

namespace natra::shim {

Result<UniqueFd> open_netns(const std::string& path) {
    // Not to wait for the other end of a FIFO.
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    const auto failed = [&path](std::string_view why) {
        return fail(Error::Code::no_device, "failed to open netns ", Json(path).dump(), ": ", why);
    };
    if (!fd) return failed(std::generic_category().message(errno));
    if (::ioctl(fd.get(), NS_GET_NSTYPE) != CLONE_NEWNET) return failed("not a network namespace");
    return fd;
}

bool is_own_netns(const std::string& path) {
    struct stat given {};
    struct stat own {};
    return ::stat(path.c_str(), &given) == 0 && ::stat("/proc/self/ns/net", &own) == 0 && given.st_dev == own.st_dev &&
           given.st_ino == own.st_ino;
}

}  // namespace natra::shim
