// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "daemon/util/error.hpp"

namespace natra::files {

// The whole file, at most max_bytes; larger is an error, and so is what is no regular file: reading that could last.
// not_found if absent.
Result<std::string> read(const std::string& path, std::size_t max_bytes);
// Temporary file in the same folder, then rename: a reader sees the old or the new content. Mode 0600.
Result<void> write_atomically(const std::string& path, std::string_view content);
// The same for a file that others read and that must survive a power cut: owner and mode of `like`, flushed to disk.
Result<void> replace(const std::string& path, std::string_view content, const std::string& like);
Result<void> rename(const std::string& from, const std::string& to);
// Absent is success.
Result<void> remove(const std::string& path);
// mkdir -p with mode 0700 for what it makes.
Result<void> make_directory(const std::string& path);
// Names in a folder without hidden files, sorted; empty if the folder is absent. Where what is not listed would be
// taken for gone, entries(): list() has nothing of a folder that cannot be read.
Result<std::vector<std::string>> entries(const std::string& path);
std::vector<std::string> list(const std::string& path);

}  // namespace natra::files
