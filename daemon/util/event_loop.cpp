// SPDX-License-Identifier: Apache-2.0
#include "daemon/util/event_loop.hpp"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <systemd/sd-event.h>

#include <exception>
#include <system_error>

#include "daemon/util/log.hpp"

namespace natra {
namespace {

void check(int r, const char* what) {
    if (r < 0) throw std::system_error(-r, std::generic_category(), what);
}

}  // namespace

EventLoop::EventLoop() : wakeup_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!wakeup_) throw std::system_error(errno, std::generic_category(), "eventfd");
    check(sd_event_new(&event_), "sd_event_new");
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    // Blocked here, before other threads start, so that only sd-event's signalfd sees them.
    check(-pthread_sigmask(SIG_BLOCK, &signals, nullptr), "pthread_sigmask");
    for (const int signal : {SIGTERM, SIGINT})
        check(sd_event_add_signal(event_, nullptr, signal, nullptr, nullptr), "sd_event_add_signal");
    check(sd_event_set_watchdog(event_, 1), "sd_event_set_watchdog");
    on_readable(wakeup_.get(), "posted task", [this] { drain(); });
}

EventLoop::~EventLoop() {
    for (const auto& handler : handlers_) sd_event_source_disable_unref(handler.source);
    sd_event_unref(event_);
}

int EventLoop::run() {
    const int status = sd_event_loop(event_);
    check(status, "sd_event_loop");
    return status;
}

void EventLoop::stop(int status) { sd_event_exit(event_, status); }

void EventLoop::post(Task task) {
    {
        const std::lock_guard lock(mutex_);
        posted_.push_back(std::move(task));
    }
    const std::uint64_t one = 1;
    // Fails only when the counter is full, and then the loop is awake already.
    [[maybe_unused]] const auto written = ::write(wakeup_.get(), &one, sizeof one);
}

bool EventLoop::drain() {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(wakeup_.get(), &count, sizeof count);
    std::deque<Task> tasks;
    {
        const std::lock_guard lock(mutex_);
        tasks.swap(posted_);
    }
    const bool any = !tasks.empty();
    while (!tasks.empty()) {
        guarded("posted task", tasks.front());
        tasks.pop_front();  // with what it holds: that may end what others wait for
    }
    return any;
}

void EventLoop::on_readable(int fd, std::string name, Task ready) {
    auto& handler = keep(std::move(name), std::move(ready));
    const auto callback = [](sd_event_source*, int, std::uint32_t, void* data) {
        const auto* self = static_cast<Handler*>(data);
        guarded(self->name, self->task);
        return 0;
    };
    check(sd_event_add_io(event_, nullptr, fd, EPOLLIN, callback, &handler), "sd_event_add_io");
}

void EventLoop::on_signal(int number, std::string name, Task caught) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, number);
    check(-pthread_sigmask(SIG_BLOCK, &signals, nullptr), "pthread_sigmask");
    auto& handler = keep(std::move(name), std::move(caught));
    const auto callback = [](sd_event_source*, const signalfd_siginfo*, void* data) {
        const auto* self = static_cast<Handler*>(data);
        guarded(self->name, self->task);
        return 0;
    };
    check(sd_event_add_signal(event_, nullptr, number, callback, &handler), "sd_event_add_signal");
}

void EventLoop::every(std::uint64_t period_usec, std::string name, Task tick) {
    auto& handler = keep(std::move(name), std::move(tick), period_usec);
    const auto callback = [](sd_event_source* source, std::uint64_t, void* data) {
        const auto* self = static_cast<Handler*>(data);
        guarded(self->name, self->task);
        if (sd_event_source_set_time_relative(source, self->period_usec) >= 0)
            sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        return 0;
    };
    check(sd_event_add_time_relative(event_, nullptr, CLOCK_MONOTONIC, period_usec, 0, callback, &handler),
          "sd_event_add_time_relative");
}

void EventLoop::after(std::uint64_t delay_usec, std::string name, Task task) {
    auto& handler = keep(std::move(name), std::move(task));
    const auto callback = [](sd_event_source* source, std::uint64_t, void* data) {
        auto* const self = static_cast<Handler*>(data);
        guarded(self->name, self->task);
        auto* const loop = self->loop;
        loop->handlers_.remove_if([self](const Handler& each) { return &each == self; });
        sd_event_source_disable_unref(source);
        return 0;
    };
    constexpr std::uint64_t accuracy_usec = 1000;
    check(sd_event_add_time_relative(event_, &handler.source, CLOCK_MONOTONIC, delay_usec, accuracy_usec, callback,
                                     &handler),
          "sd_event_add_time_relative");
}

EventLoop::Handler& EventLoop::keep(std::string name, Task task, std::uint64_t period_usec) {
    return handlers_.emplace_back(Handler{this, std::move(name), std::move(task), period_usec, nullptr});
}

// An exception must not cross sd-event, which is C.
void EventLoop::guarded(const std::string& name, const Task& task) noexcept {
    try {
        task();
    } catch (const std::exception& e) {
        log::error(concat(name, " failed: ", e.what()));
    } catch (...) {
        log::error(concat(name, " failed"));
    }
}

}  // namespace natra
