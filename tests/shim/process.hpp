// SPDX-License-Identifier: Apache-2.0
// Programs as children of the test: one to completion, or one for the test's length.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "daemon/util/unique_fd.hpp"

namespace natra::shim {

using Variables = std::map<std::string, std::string>;

struct Outcome {
    int status = -1;  // exit status; -1 if a signal ended it
    std::string out;
    std::string err;
    std::chrono::milliseconds elapsed{0};
};

// Runs `program` with exactly these variables. Throws std::runtime_error, and kills it, after 20 seconds.
Outcome run_program(const std::string& program, const Variables& variables, const std::string& input);

// A child that is killed at the end of the scope.
class Child {
public:
    explicit Child(pid_t pid) : pid_(pid) {}
    ~Child() { kill(); }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    void kill();
    // Until it ends by itself; its exit status, -1 if a signal ended it.
    int wait();
    [[nodiscard]] pid_t pid() const { return pid_; }

private:
    pid_t pid_;
};

// Starts a program whose stdout is `out`. Throws std::system_error.
pid_t spawn(const std::vector<std::string>& command, int out);

// The first line from a pipe; throws std::runtime_error if none comes within 10 seconds.
std::string read_line(int fd);

// Both ends of a pipe, closed on exec.
struct Pipe {
    Pipe();
    UniqueFd read;
    UniqueFd write;
};

}  // namespace natra::shim
