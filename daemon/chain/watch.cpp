// SPDX-License-Identifier: Apache-2.0
#include "daemon/chain/watch.hpp"

#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>

#include "daemon/util/log.hpp"

namespace natra::chain {
namespace {

// Files that are complete, and files that went: what is being written does not count yet.
constexpr std::uint32_t changes = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE;
constexpr std::uint64_t period_usec = 10 * EventLoop::second_usec;

}  // namespace

void Watch::start() {
    keeper_.remove_unfinished();
    keeper_.look();
    keeper_.look_for_conflicts();
    inotify_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!inotify_) {
        log::error(fail_errno(Error::Code::kernel, errno, "chain: inotify").what);
    } else {
        core_.on_readable(inotify_.get(), "chain", [this] {
            char events[4096];
            while (::read(inotify_.get(), events, sizeof events) > 0) {
            }
            look();
        });
        watch_folders();
    }
    core_.every(period_usec, "chain", [this] {
        watch_folders();
        look();
    });
}

// A chain that is not managed is only read.
void Watch::look() {
    if (keeper_.settings().manage) keeper_.look();
    keeper_.look_for_conflicts();
}

// Watching the same folder again changes nothing; one that was made anew is another.
void Watch::watch_folders() {
    if (!inotify_) return;
    for (const auto& directory : keeper_.settings().directories)
        if (::inotify_add_watch(inotify_.get(), directory.c_str(), changes | IN_ONLYDIR) < 0 && errno != ENOENT)
            log::debug(fail_errno(Error::Code::kernel, errno, "chain: watch ", directory).what);
}

}  // namespace natra::chain
