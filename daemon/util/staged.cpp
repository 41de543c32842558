// SPDX-License-Identifier: Apache-2.0
#include "daemon/util/staged.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <vector>

#include "daemon/util/error.hpp"
#include "daemon/util/log.hpp"

namespace natra::files {
namespace {

constexpr std::string_view mark = ".natra-";
constexpr std::string_view variable_part = "XXXXXX";

// mkstemp() chooses letters and digits.
bool is_staged(std::string_view name) {
    if (!name.starts_with('.') || name.size() <= 1 + mark.size() + variable_part.size()) return false;
    const auto chosen = name.substr(name.size() - variable_part.size());
    name.remove_suffix(variable_part.size());
    return name.ends_with(mark) && std::all_of(chosen.begin(), chosen.end(), [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
           });
}

void remove_if_old(const std::string& path, std::chrono::seconds unchanged) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) < 0 || !S_ISREG(info.st_mode)) return;
    if (unchanged.count() > 0 && std::time(nullptr) - info.st_mtime < unchanged.count()) return;
    if (::unlink(path.c_str()) < 0 && errno != ENOENT)
        log::warning(fail_errno(Error::Code::kernel, errno, "remove ", path).what);
    else
        log::debug(concat("removed ", path, ", which nobody finished"));
}

}  // namespace

std::string staged_template(const std::string& path) {
    const auto name = path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1;
    return concat(path.substr(0, name), ".", path.substr(name), mark, variable_part);
}

void remove_staged(const std::string& directory, std::chrono::seconds unchanged) {
    namespace fs = std::filesystem;
    std::vector<std::string> found;
    std::error_code error;
    fs::directory_iterator entry(directory, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error))
        if (is_staged(entry->path().filename().string())) found.push_back(entry->path().string());
    for (const auto& path : found) remove_if_old(path, unchanged);
}

}  // namespace natra::files
