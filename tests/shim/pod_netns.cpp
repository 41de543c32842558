// SPDX-License-Identifier: Apache-2.0
#include "tests/shim/pod_netns.hpp"

#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stdexcept>

namespace natra::shim {

PodNetns::PodNetns() {
    Pipe ready;
    const pid_t pid = ::fork();
    if (pid < 0) throw std::runtime_error("fork");
    if (pid == 0) {
        const int flags = ::geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET;
        if (::unshare(flags) < 0) ::_exit(1);
        if (::write(ready.write.get(), "\n", 1) != 1) ::_exit(1);
        // Ends with the test, however the test ends.
        lifeline_.write.reset();
        char c = 0;
        ::_exit(::read(lifeline_.read.get(), &c, 1) == 0 ? 0 : 1);
    }
    holder_ = std::make_unique<Child>(pid);
    ready.write.reset();
    read_line(ready.read.get());
}

std::string PodNetns::path() const { return "/proc/" + std::to_string(holder_->pid()) + "/ns/net"; }

std::uint64_t PodNetns::inode() const {
    struct stat status {};
    return ::stat(path().c_str(), &status) == 0 ? status.st_ino : 0;
}

}  // namespace natra::shim
