// SPDX-License-Identifier: Apache-2.0
#include "tests/shim/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace natra::shim {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::chrono::seconds most{20};

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> out;
    for (auto& text : texts) out.push_back(text.data());
    out.push_back(nullptr);
    return out;
}

// One of the child's streams, until its end.
void drain(pollfd& stream, std::string& into) {
    std::array<char, 65536> buffer{};
    if ((stream.revents & (POLLIN | POLLHUP)) == 0) return;
    const auto n = ::read(stream.fd, buffer.data(), buffer.size());
    if (n > 0)
        into.append(buffer.data(), static_cast<std::size_t>(n));
    else
        stream.fd = -1;
}

// False once everything is written, or nobody reads any more.
bool feed(pollfd& stream, const std::string& input, std::size_t& written) {
    if ((stream.revents & POLLERR) != 0) return false;
    if ((stream.revents & POLLOUT) == 0) return true;
    const auto n = ::write(stream.fd, input.data() + written, input.size() - written);
    if (n < 0) return errno == EAGAIN;
    written += static_cast<std::size_t>(n);
    return written < input.size();
}

}  // namespace

Pipe::Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0) throw std::system_error(errno, std::generic_category(), "pipe2");
    read.reset(ends[0]);
    write.reset(ends[1]);
}

Outcome run_program(const std::string& program, const Variables& variables, const std::string& input) {
    std::vector<std::string> assignments;
    for (const auto& [name, value] : variables) assignments.push_back(name + "=" + value);
    std::vector<std::string> command = {program};
    auto argv = pointers(command);
    auto envp = pointers(assignments);

    Pipe in;
    Pipe out;
    Pipe err;
    // A plugin may end without reading its stdin.
    ::signal(SIGPIPE, SIG_IGN);
    const auto start = Clock::now();
    const pid_t pid = ::fork();
    if (pid < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (pid == 0) {
        ::signal(SIGPIPE, SIG_DFL);
        ::dup2(in.read.get(), STDIN_FILENO);
        ::dup2(out.write.get(), STDOUT_FILENO);
        ::dup2(err.write.get(), STDERR_FILENO);
        ::execve(argv[0], argv.data(), envp.data());
        ::_exit(127);
    }
    Child child(pid);
    in.read.reset();
    out.write.reset();
    err.write.reset();
    ::fcntl(in.write.get(), F_SETFL, O_NONBLOCK);

    Outcome outcome;
    std::size_t written = 0;
    std::array<pollfd, 3> streams = {
        {{in.write.get(), POLLOUT, 0}, {out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}}};
    if (input.empty()) {
        in.write.reset();
        streams[0].fd = -1;
    }
    while (streams[1].fd >= 0 || streams[2].fd >= 0) {
        const auto left = std::chrono::duration_cast<milliseconds>(start + most - Clock::now());
        if (left.count() <= 0) throw std::runtime_error(program + " does not end");
        if (::poll(streams.data(), streams.size(), static_cast<int>(left.count())) < 0 && errno != EINTR)
            throw std::system_error(errno, std::generic_category(), "poll");
        drain(streams[1], outcome.out);
        drain(streams[2], outcome.err);
        if (streams[0].fd >= 0 && !feed(streams[0], input, written)) {
            in.write.reset();
            streams[0].fd = -1;
        }
    }
    outcome.status = child.wait();
    outcome.elapsed = std::chrono::duration_cast<milliseconds>(Clock::now() - start);
    return outcome;
}

void Child::kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    wait();
}

int Child::wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

pid_t spawn(const std::vector<std::string>& command, int out) {
    auto copy = command;
    auto argv = pointers(copy);
    const pid_t pid = ::fork();
    if (pid < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (pid == 0) {
        // A test that crashes leaves nobody behind.
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::signal(SIGPIPE, SIG_DFL);
        ::dup2(out, STDOUT_FILENO);
        ::execvp(argv[0], argv.data());
        ::_exit(127);
    }
    return pid;
}

std::string read_line(int fd) {
    std::string line;
    const auto end = Clock::now() + std::chrono::seconds(10);
    for (;;) {
        const auto left = std::chrono::duration_cast<milliseconds>(end - Clock::now());
        pollfd stream{fd, POLLIN, 0};
        if (left.count() <= 0 || ::poll(&stream, 1, static_cast<int>(left.count())) == 0)
            throw std::runtime_error("no line within 10 s");
        char c = 0;
        const auto n = ::read(fd, &c, 1);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) throw std::runtime_error("the other end closed after \"" + line + "\"");
        if (c == '\n') return line;
        line += c;
    }
}

}  // namespace natra::shim
