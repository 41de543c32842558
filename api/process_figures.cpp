// SPDX-License-Identifier: Apache-2.0
#include "api/process_figures.hpp"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>

#include "daemon/util/files.hpp"

namespace natra::api {
namespace {

constexpr int fields_before_state = 2;  // pid and name, which may contain blanks

// The numbers of /proc/self/stat behind the name, field 3 first, as proc(5) counts them.
double stat_field(const std::string& stat, int number) {
    const auto name_end = stat.rfind(')');
    if (name_end == std::string::npos) return 0;
    std::istringstream rest(stat.substr(name_end + 1));
    std::string word;
    for (int i = fields_before_state; i < number; ++i) rest >> word;
    return rest && !word.empty() ? std::strtod(word.c_str(), nullptr) : 0;
}

double boot_time_seconds() {
    timespec real{};
    timespec boot{};
    ::clock_gettime(CLOCK_REALTIME, &real);
    ::clock_gettime(CLOCK_BOOTTIME, &boot);
    constexpr double ns = 1e-9;
    return static_cast<double>(real.tv_sec - boot.tv_sec) + static_cast<double>(real.tv_nsec - boot.tv_nsec) * ns;
}

// Since Linux 6.2 the folder's size; counting names that are made for it takes milliseconds for a thousand.
std::uint64_t open_descriptors() {
    constexpr const char* folder = "/proc/self/fd";
    struct stat info {};
    if (::stat(folder, &info) == 0 && info.st_size > 0) return static_cast<std::uint64_t>(info.st_size);
    std::uint64_t count = 0;
    std::error_code error;
    for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error))
        ++count;
    return count;
}

}  // namespace

ProcessFigures process_figures() {
    constexpr std::size_t most = 4096;
    const auto read = files::read("/proc/self/stat", most);
    const auto stat = read ? *read : std::string();
    const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
    const auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
    constexpr int utime = 14;
    constexpr int stime = 15;
    constexpr int num_threads = 20;
    constexpr int starttime = 22;
    constexpr int vsize = 23;
    constexpr int rss = 24;
    ProcessFigures out{.cpu_seconds = (stat_field(stat, utime) + stat_field(stat, stime)) / ticks,
                       .start_time_seconds = boot_time_seconds() + stat_field(stat, starttime) / ticks,
                       .resident_bytes = static_cast<std::uint64_t>(stat_field(stat, rss) * page),
                       .virtual_bytes = static_cast<std::uint64_t>(stat_field(stat, vsize)),
                       .threads = static_cast<std::uint64_t>(stat_field(stat, num_threads)),
                       .open_descriptors = 0};
    out.open_descriptors = open_descriptors();
    return out;
}

}  // namespace natra::api
