// SPDX-License-Identifier: Apache-2.0
#include "daemon/util/worker.hpp"

#include <pthread.h>

#include <exception>

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

void Worker::post(std::function<void()> task) {
    {
        const std::lock_guard lock(mutex_);
        tasks_.push_back(std::move(task));
    }
    wake_.notify_one();
}

void Worker::wait_idle() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return tasks_.empty() && !busy_; });
}

void Worker::run() {
    pthread_setname_np(pthread_self(), name_.substr(0, 15).c_str());
    for (;;) {
        std::function<void()> task;
        {
            std::unique_lock lock(mutex_);
            busy_ = false;
            if (tasks_.empty()) idle_.notify_all();
            wake_.wait(lock, [this] { return stop_ || !tasks_.empty(); });
            if (tasks_.empty()) return;
            task = std::move(tasks_.front());
            tasks_.pop_front();
            busy_ = true;
        }
        try {
            task();
        } catch (const std::exception& e) {
            log::error(concat(name_, ": task failed: ", e.what()));
        } catch (...) {
            log::error(concat(name_, ": task failed"));
        }
    }
}

}  // namespace natra
