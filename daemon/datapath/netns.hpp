// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <future>
#include <string>
#include <type_traits>

#include "daemon/util/error.hpp"
#include "daemon/util/unique_fd.hpp"
#include "daemon/util/worker.hpp"

namespace natra::datapath {

// Identifies a network namespace while it lives.
struct NetnsId {
    std::uint64_t dev = 0;
    std::uint64_t ino = 0;
    friend bool operator==(const NetnsId&, const NetnsId&) = default;
};

// Code::invalid_argument if fd is not a network namespace.
Result<NetnsId> netns_id(int fd);
// Code::no_device if the path does not lead to a network namespace; Code::kernel where that cannot be seen.
Result<UniqueFd> open_netns(const std::string& path);

// The only thread that ever changes its network namespace. It returns to its
// own after each call; if it could not, the process ends rather than act in the
// wrong one.
class NetnsWorker {
public:
    // run() of a function that returns T returns Result<T>; of one that returns Result<T>, the same.
    template <class T> struct OutcomeOf { using type = Result<T>; };
    template <class T> struct OutcomeOf<Result<T>> { using type = Result<T>; };
    template <class T> using Outcome = typename OutcomeOf<T>::type;

    NetnsWorker();  // throws std::exception

    // The host's, in which the worker was made.
    [[nodiscard]] const NetnsId& home() const { return home_id_; }

    // Runs f inside the namespace (-1: the host's, in which the worker was made)
    // and returns its result; its exceptions reach the caller. Any thread but the
    // worker's own; calls queue. Code::kernel, and f is not called, if netns_fd cannot be
    // entered: an error and no exception, because callers have something to undo.
    template <class F> auto run(int netns_fd, F f) -> Outcome<decltype(f())> {
        using Out = Outcome<decltype(f())>;
        // Shared: the caller may be gone with the result while the worker still leaves the task.
        auto task = std::make_shared<std::packaged_task<Out()>>([&]() -> Out {
            const Visit visit(netns_fd, home_.get());
            if (visit.error() != 0) return fail_errno(Error::Code::kernel, visit.error(), "enter network namespace");
            if constexpr (std::is_void_v<decltype(f())>) {
                f();
                return {};
            } else {
                return f();
            }
        });
        auto result = task->get_future();
        worker_.post([task] { (*task)(); });
        return result.get();
    }

private:
    class Visit {
    public:
        Visit(int netns_fd, int home_fd);
        ~Visit();
        Visit(const Visit&) = delete;
        Visit& operator=(const Visit&) = delete;
        [[nodiscard]] int error() const { return error_; }  // errno of the way there; 0: arrived

    private:
        const int home_fd_;
        bool away_ = false;
        int error_ = 0;
    };

    UniqueFd home_;
    NetnsId home_id_;
    Worker worker_{"natra-netns"};
};

}  // namespace natra::datapath
