// SPDX-License-Identifier: Apache-2.0
#include "cni-shim/diagnostics.hpp"

#include <unistd.h>

#include <algorithm>
#include <string>

#include "cni-shim/journal.hpp"

namespace natra::shim {
namespace {

std::string one_line(std::string text) {
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text;
}

void to_journal(std::string message, log::Level level, const Environment& environment) {
    JournalFields fields = {{"MESSAGE", std::move(message)},
                            {"PRIORITY", std::to_string(static_cast<int>(level))},
                            {"SYSLOG_IDENTIFIER", "natra"},
                            {"NATRA_CONTAINER_ID", environment.container_id},
                            {"NATRA_INTERFACE", environment.interface}};
    if (!environment.pod_namespace.empty()) fields.emplace_back("NATRA_NAMESPACE", environment.pod_namespace);
    if (!environment.pod_name.empty()) fields.emplace_back("NATRA_POD", environment.pod_name);
    (void)send_to_journal(journal_socket(), fields);
}

}  // namespace

void report(log::Level level, const Environment& environment, std::string_view text) noexcept {
    try {
        const auto who = environment.container_id.empty()
                             ? std::string()
                             : concat(environment.container_id, "/", environment.interface, ": ");
        auto line = one_line(concat(who, text));
        const auto to_stderr = concat("natra: ", line, "\n");
        if (::write(STDERR_FILENO, to_stderr.data(), to_stderr.size()) < 0) {
            // Whoever started the plugin does not want to know; the journal still does.
        }
        to_journal(std::move(line), level, environment);
    } catch (const std::exception&) {
        return;
    }
}

}  // namespace natra::shim
