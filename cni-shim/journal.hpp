// SPDX-License-Identifier: Apache-2.0
// journald's native protocol. sd_journal_sendv() would wait for a journal that does
// not read, and a pod must not wait for that.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace natra::shim {

// Name and value; a newline in a value becomes a space.
using JournalFields = std::vector<std::pair<std::string_view, std::string>>;

// Sends one entry to the socket at `path`. False if it was not taken at once; never blocks.
bool send_to_journal(const std::string& path, const JournalFields& fields);

// NATRA_JOURNAL_SOCKET, else journald's.
std::string journal_socket();

}  // namespace natra::shim
