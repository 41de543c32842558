// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

namespace natra {

// One thread that runs tasks in the order in which they were posted. Used for
// calls that may block (netlink behind a busy RTNL, the BPF verifier), but not for
// waiting until it is time: others are in the queue.
class Worker {
public:
    using Task = std::function<void()>;
    using Duration = std::chrono::nanoseconds;

    explicit Worker(std::string name);  // at most 15 bytes: the thread's name
    // Runs what is queued, then joins. What is not due yet is not waited for: it runs at once.
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    // Any thread. Exceptions of the task are logged.
    void post(Task task);
    // The same, once that time has passed; then behind all that is posted already.
    void post_after(Duration delay, Task task);
    // Blocks until everything posted so far, and what it posted here in turn, is done.
    void wait_idle();
    // The longest time that a single task has taken since the last call.
    Duration take_longest_turn();

private:
    using Clock = std::chrono::steady_clock;
    void run();
    // Whether `task` is one to run; false: stop. Both with the lock held.
    bool next(std::unique_lock<std::mutex>& lock, Task& task);
    void queue_due();

    const std::string name_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Task> tasks_;
    std::multimap<Clock::time_point, Task> later_;
    std::condition_variable idle_;
    Duration longest_turn_{0};
    bool busy_ = false;
    bool stop_ = false;
    std::thread thread_;
};

}  // namespace natra
