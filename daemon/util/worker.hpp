// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace natra {

// One thread that runs tasks in the order in which they were posted. Used for
// calls that may block (netlink behind a busy RTNL, the BPF verifier).
class Worker {
public:
    explicit Worker(std::string name);  // at most 15 bytes: the thread's name
    // Runs what is queued, then joins.
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    // Any thread. Exceptions of the task are logged.
    void post(std::function<void()> task);
    // Blocks until everything posted so far, and what it posted here in turn, is done.
    void wait_idle();

private:
    void run();

    const std::string name_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::function<void()>> tasks_;
    std::condition_variable idle_;
    bool busy_ = false;
    bool stop_ = false;
    std::thread thread_;
};

}  // namespace natra
