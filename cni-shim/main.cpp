// SPDX-License-Identifier: Apache-2.0
// The CNI plugin: environment and stdin in, one JSON document on stdout.
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string>
#include <string_view>
#include <system_error>

#include "cni-shim/verbs.hpp"

namespace {

using namespace natra;
using namespace natra::shim;

// One byte more than is allowed, so that the parser sees that it is too much.
CniResult<std::string> read_stdin() {
    std::string text;
    char buffer[16384];
    while (text.size() <= max_json_bytes) {
        const auto n = ::read(STDIN_FILENO, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            const auto why = std::generic_category().message(errno);
            return CniError{CniCode::io_failure, concat("error reading from stdin: ", why), ""};
        }
        if (n == 0) break;
        text.append(buffer, static_cast<std::size_t>(n));
    }
    return text;
}

bool write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const auto n = ::write(fd, text.data(), text.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
}

CniResult<std::string> run_plugin() {
    const auto environment = parse_environment(std::getenv);
    if (!environment) return environment.error();
    const Stores stores{Spool::of_environment(std::getenv), NatradState::of_environment(std::getenv)};
    if (environment->verb == Verb::version) return run(*environment, "", stores);
    const auto input = read_stdin();
    // A DEL needs no configuration.
    if (!input && environment->verb != Verb::del) return input.error();
    return run(*environment, input ? *input : "", stores);
}

CniResult<std::string> run_guarded() {
    try {
        return run_plugin();
    } catch (const std::exception& e) {
        return CniError{CniCode::internal, e.what(), ""};
    }
}

}  // namespace

int main() {
    // A reader that went away is an error to handle, not a reason to die.
    std::signal(SIGPIPE, SIG_IGN);
    if (command(std::getenv).empty()) {
        write_all(STDERR_FILENO, about());
        return EXIT_SUCCESS;
    }
    const auto output = run_guarded();
    const bool written = write_all(STDOUT_FILENO, output ? *output : to_text(output.error()));
    if (!written)
        write_all(STDERR_FILENO, concat("natra: write to stdout: ", std::generic_category().message(errno), "\n"));
    return output && written ? EXIT_SUCCESS : EXIT_FAILURE;
}
