// SPDX-License-Identifier: Apache-2.0
#include "daemon/util/worker.hpp"

#include <pthread.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "daemon/util/error.hpp"
#include "daemon/util/log.hpp"

namespace natra {

Worker::Worker(std::string name) : name_(std::move(name)), thread_([this] { run(); }) {}

Worker::~Worker() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

void Worker::post(Task task) {
    {
        const std::lock_guard lock(mutex_);
        tasks_.push_back(std::move(task));
    }
    wake_.notify_one();
}

void Worker::post_after(Duration delay, Task task) {
    {
        const std::lock_guard lock(mutex_);
        later_.emplace(Clock::now() + delay, std::move(task));
    }
    wake_.notify_one();
}

void Worker::wait_idle() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return tasks_.empty() && later_.empty() && !busy_; });
}

Worker::Duration Worker::take_longest_turn() {
    const std::lock_guard lock(mutex_);
    return std::exchange(longest_turn_, Duration());
}

void Worker::queue_due() {
    const auto now = Clock::now();
    while (!later_.empty() && (stop_ || later_.begin()->first <= now)) {
        tasks_.push_back(std::move(later_.begin()->second));
        later_.erase(later_.begin());
    }
}

bool Worker::next(std::unique_lock<std::mutex>& lock, Task& task) {
    for (;;) {
        queue_due();
        if (!tasks_.empty()) {
            task = std::move(tasks_.front());
            tasks_.pop_front();
            return true;
        }
        if (stop_) return false;
        if (later_.empty()) {
            idle_.notify_all();
            wake_.wait(lock);
        } else {
            wake_.wait_until(lock, later_.begin()->first);
        }
    }
}

void Worker::run() {
    pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
    std::unique_lock lock(mutex_);
    for (Task task; next(lock, task);) {
        busy_ = true;
        lock.unlock();
        const auto began = Clock::now();
        try {
            task();
        } catch (const std::exception& e) {
            log::error(concat(name_, ": task failed: ", e.what()));
        } catch (...) {
            log::error(concat(name_, ": task failed"));
        }
        const Duration took = Clock::now() - began;
        task = {};  // what it holds may take the lock on its way out
        lock.lock();
        busy_ = false;
        longest_turn_ = std::max(longest_turn_, took);
    }
}

}  // namespace natra
