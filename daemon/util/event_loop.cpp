// SPDX-License-Identifier: Apache-2.0
#include "daemon/util/event_loop.hpp"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <systemd/sd-event.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <system_error>

#include "daemon/util/log.hpp"

namespace natra {
namespace {

void check(int r, const char* what) {
    if (r < 0) throw std::system_error(-r, std::generic_category(), what);
}

constexpr std::size_t all = SIZE_MAX;
// Of one turn of the loop: more may be asked for all the time.
constexpr std::size_t most_requests = 8;

// Before what arrives from outside.
void put_first(sd_event_source* source) {
    check(sd_event_source_set_priority(source, SD_EVENT_PRIORITY_IMPORTANT), "sd_event_source_set_priority");
}

}  // namespace

EventLoop::EventLoop() {
    check(sd_event_new(&event_), "sd_event_new");
    // Blocked here, before other threads start, so that only sd-event's signalfd sees them.
    for (const int signal : {SIGTERM, SIGINT}) on_signal(signal, "end", [this] { stop(); });
    check(sd_event_set_watchdog(event_, 1), "sd_event_set_watchdog");
    put_first(watch(posted_.fd(), "posted task", [this] { posted_.run(all); }));
    watch(requests_.fd(), "request", [this] { requests_.run(most_requests); });
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

void EventLoop::post(Task task) { posted_.post(std::move(task)); }

void EventLoop::post_request(Task task) { requests_.post(std::move(task)); }

bool EventLoop::drain() {
    const bool any = posted_.run(all);
    return requests_.run(all) || any;
}

EventLoop::Inbox::Inbox() : wakeup_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (!wakeup_) throw std::system_error(errno, std::generic_category(), "eventfd");
}

void EventLoop::Inbox::post(Task task) {
    {
        const std::lock_guard lock(mutex_);
        tasks_.push_back(std::move(task));
    }
    wake();
}

void EventLoop::Inbox::wake() {
    const std::uint64_t one = 1;
    // Fails only when the counter is full, and then the loop is awake already.
    [[maybe_unused]] const auto written = ::write(wakeup_.get(), &one, sizeof one);
}

bool EventLoop::Inbox::run(std::size_t most) {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(wakeup_.get(), &count, sizeof count);
    std::unique_lock lock(mutex_);
    // What they post in turn is the next round's.
    const auto due = std::min(most, tasks_.size());
    for (std::size_t i = 0; i < due; ++i) {
        auto task = std::move(tasks_.front());
        tasks_.pop_front();
        lock.unlock();
        guarded("posted task", task);
        task = {};  // with what it holds: that may end what others wait for
        lock.lock();
    }
    if (!tasks_.empty()) wake();
    return due != 0;
}

void EventLoop::on_readable(int fd, std::string name, Task ready) { watch(fd, std::move(name), std::move(ready)); }

sd_event_source* EventLoop::watch(int fd, std::string name, Task ready) {
    auto& handler = keep(std::move(name), std::move(ready));
    const auto callback = [](sd_event_source*, int, std::uint32_t, void* data) {
        const auto* self = static_cast<Handler*>(data);
        guarded(self->name, self->task);
        return 0;
    };
    check(sd_event_add_io(event_, &handler.source, fd, EPOLLIN, callback, &handler), "sd_event_add_io");
    return handler.source;
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
    check(sd_event_add_signal(event_, &handler.source, number, callback, &handler), "sd_event_add_signal");
    put_first(handler.source);
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
    check(sd_event_add_time_relative(event_, &handler.source, CLOCK_MONOTONIC, period_usec, 0, callback, &handler),
          "sd_event_add_time_relative");
    put_first(handler.source);
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
    put_first(handler.source);
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
