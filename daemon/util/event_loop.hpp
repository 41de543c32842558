// SPDX-License-Identifier: Apache-2.0
// The core thread: an sd-event loop that owns all of natrad's state. Other
// threads hand it closures with post(); everything else is core-thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <string>

#include "daemon/util/error.hpp"
#include "daemon/util/unique_fd.hpp"

struct sd_event;
struct sd_event_source;

namespace natra {

class EventLoop {
public:
    using Task = std::function<void()>;

    static constexpr std::uint64_t second_usec = 1'000'000;

    EventLoop();  // throws std::system_error
    ~EventLoop();
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;

    // Runs until stop(); SIGTERM and SIGINT stop it too. Feeds systemd's watchdog
    // from this loop, so that it starves when the core thread hangs.
    // Returns the status given to stop(); 0 after a signal.
    int run();
    void stop(int status = 0);
    // Runs what is posted without waiting for more; false if there was nothing. For the time after run().
    bool drain();

    // Any thread. The task runs on the core thread; its exceptions are logged. Tasks, timers and signals come before
    // what arrives from outside: they are what natrad itself has begun.
    void post(Task task);
    // The same for what somebody outside asks for. It takes turns with the bus and other descriptors.
    void post_request(Task task);

    // `ready` is called while fd is readable. The fd must outlive the loop.
    void on_readable(int fd, std::string name, Task ready);
    // `caught` is called for the signal, which must not be SIGTERM or SIGINT. Before threads start: it blocks
    // the signal in the calling thread.
    void on_signal(int number, std::string name, Task caught);
    // Calls `tick` every `period_usec`, first after one period.
    void every(std::uint64_t period_usec, std::string name, Task tick);
    // Calls `task` once, when delay_usec have passed.
    void after(std::uint64_t delay_usec, std::string name, Task task);

    [[nodiscard]] sd_event* raw() const { return event_; }

private:
    struct Handler {
        EventLoop* loop;
        std::string name;
        Task task;
        std::uint64_t period_usec = 0;
        sd_event_source* source = nullptr;
    };
    sd_event_source* watch(int fd, std::string name, Task ready);
    Handler& keep(std::string name, Task task, std::uint64_t period_usec = 0);
    static void guarded(const std::string& name, const Task& task) noexcept;

    // Tasks from other threads, and what wakes the loop for them.
    class Inbox {
    public:
        Inbox();  // throws std::system_error
        [[nodiscard]] int fd() const { return wakeup_.get(); }
        void post(Task task);
        // Runs what is posted, but no more than `most` of it; false if there was nothing.
        bool run(std::size_t most);

    private:
        void wake();

        UniqueFd wakeup_;
        std::mutex mutex_;  // guards tasks_
        std::deque<Task> tasks_;
    };

    sd_event* event_ = nullptr;
    Inbox posted_;
    Inbox requests_;
    std::list<Handler> handlers_;
};

}  // namespace natra
