// SPDX-License-Identifier: Apache-2.0
#include "cni-shim/diagnostics.hpp"

#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

namespace natra::shim {
namespace {

std::string one_line(std::string text) {
    std::replace(text.begin(), text.end(), '\n', ' ');
    return text;
}

void to_journal(std::string message, log::Level level, const Environment& environment) {
    std::vector<std::string> fields = {"MESSAGE=" + std::move(message), concat("PRIORITY=", static_cast<int>(level)),
                                       "SYSLOG_IDENTIFIER=natra", "NATRA_CONTAINER_ID=" + environment.container_id,
                                       "NATRA_INTERFACE=" + environment.interface};
    if (!environment.pod_namespace.empty()) fields.push_back("NATRA_NAMESPACE=" + environment.pod_namespace);
    if (!environment.pod_name.empty()) fields.push_back("NATRA_POD=" + environment.pod_name);
    std::vector<iovec> vectors;
    vectors.reserve(fields.size());
    for (auto& field : fields) vectors.push_back({.iov_base = field.data(), .iov_len = field.size()});
    (void)sd_journal_sendv(vectors.data(), static_cast<int>(vectors.size()));
}

}  // namespace

void report(log::Level level, const Environment& environment, std::string_view text) noexcept {
    try {
        auto line = one_line(concat(environment.container_id, "/", environment.interface, ": ", text));
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
