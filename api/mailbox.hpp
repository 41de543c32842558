// SPDX-License-Identifier: Apache-2.0
// Tasks that other threads leave for one that sleeps in epoll.
#pragma once

#include <functional>
#include <mutex>
#include <vector>

#include "daemon/util/unique_fd.hpp"

namespace natra::api {

class Mailbox {
public:
    using Task = std::function<void()>;

    Mailbox();  // throws std::system_error

    // Readable while there is something to run.
    [[nodiscard]] int fd() const { return wakeup_.get(); }
    // Any thread. False, and the task is destroyed on the caller's thread, once the mailbox is closed.
    bool post(Task task);
    // For the thread that owns the mailbox: runs what was posted, in that order, and destroys it. An exception of a
    // task is logged.
    void run();
    // For the same thread: destroys what was posted. Nothing is taken any more.
    void close();

private:
    std::vector<Task> take();

    UniqueFd wakeup_;
    std::mutex mutex_;  // guards what follows
    std::vector<Task> tasks_;
    bool closed_ = false;
};

}  // namespace natra::api
