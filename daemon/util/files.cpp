// SPDX-License-Identifier: Apache-2.0
#include "daemon/util/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <filesystem>

#include "daemon/util/staged.hpp"
#include "daemon/util/unique_fd.hpp"

namespace natra::files {

namespace fs = std::filesystem;
using Code = Error::Code;

Result<std::string> read(const std::string& path, std::size_t max_bytes) {
    // Without waiting for somebody at the other end of a FIFO.
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!fd) return fail_errno(errno == ENOENT ? Code::not_found : Code::kernel, errno, "open ", path);
    struct stat info {};
    if (::fstat(fd.get(), &info) < 0) return fail_errno(Code::kernel, errno, "stat ", path);
    if (!S_ISREG(info.st_mode)) return fail(Code::invalid_argument, path, ": is no regular file");
    if (info.st_size > 0 && static_cast<std::uintmax_t>(info.st_size) > max_bytes)
        return fail(Code::invalid_argument, path, ": larger than ", max_bytes, " bytes");
    std::string out;
    char buffer[4096];
    for (;;) {
        const auto n = ::read(fd.get(), buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno(Code::kernel, errno, "read ", path);
        if (n == 0) return out;
        out.append(buffer, static_cast<std::size_t>(n));
        if (out.size() > max_bytes) return fail(Code::invalid_argument, path, ": larger than ", max_bytes, " bytes");
    }
}

namespace {

// prepare: the last step before the rename; gets the staged file's descriptor, returns false with errno set.
template <class Prepare>
Result<void> write_by_rename(const std::string& path, std::string_view content, Prepare prepare) {
    // Hidden until complete: list() does not show it.
    std::string staged = staged_template(path);
    UniqueFd fd(::mkostemp(staged.data(), O_CLOEXEC));
    if (!fd) return fail_errno(Code::kernel, errno, "create ", staged);
    const auto abandon = [&](const char* step) {
        const int error = errno;
        ::unlink(staged.c_str());
        return fail_errno(Code::kernel, error, step, " ", staged);
    };
    while (!content.empty()) {
        const auto n = ::write(fd.get(), content.data(), content.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return abandon("write");
        content.remove_prefix(static_cast<std::size_t>(n));
    }
    if (!prepare(fd.get())) return abandon("prepare");
    if (::rename(staged.c_str(), path.c_str()) < 0) return abandon("rename");
    return {};
}

}  // namespace

Result<void> write_atomically(const std::string& path, std::string_view content) {
    return write_by_rename(path, content, [](int) { return true; });
}

Result<void> replace(const std::string& path, std::string_view content, const std::string& like) {
    struct stat model {};
    if (::stat(like.c_str(), &model) < 0) return fail_errno(Code::kernel, errno, "stat ", like);
    auto written = write_by_rename(path, content, [&](int fd) {
        return ::fchown(fd, model.st_uid, model.st_gid) == 0 && ::fchmod(fd, model.st_mode & 07777) == 0 &&
               ::fsync(fd) == 0;
    });
    if (!written) return written;
    const auto slash = path.rfind('/');
    const UniqueFd folder(::open(slash == std::string::npos ? "." : path.substr(0, slash + 1).c_str(),
                                 O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder || ::fsync(folder.get()) < 0) return fail_errno(Code::kernel, errno, "flush the folder of ", path);
    return {};
}

Result<void> rename(const std::string& from, const std::string& to) {
    if (::rename(from.c_str(), to.c_str()) < 0) return fail_errno(Code::kernel, errno, "rename ", from, " to ", to);
    return {};
}

Result<void> remove(const std::string& path) {
    if (::unlink(path.c_str()) < 0 && errno != ENOENT) return fail_errno(Code::kernel, errno, "unlink ", path);
    return {};
}

Result<void> make_directory(const std::string& path) {
    for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
        const auto part = path.substr(0, end);
        if (::mkdir(part.c_str(), 0700) < 0 && errno != EEXIST) return fail_errno(Code::kernel, errno, "mkdir ", part);
        if (end == std::string::npos) return {};
    }
}

Result<std::vector<std::string>> entries(const std::string& path) {
    std::vector<std::string> names;
    std::error_code error;
    fs::directory_iterator entry(path, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
        auto name = entry->path().filename().string();
        if (!name.starts_with('.')) names.push_back(std::move(name));
    }
    if (error && error != std::errc::no_such_file_or_directory)
        return fail_errno(Code::kernel, error.value(), "list ", path);
    std::sort(names.begin(), names.end());
    return names;
}

std::vector<std::string> list(const std::string& path) {
    auto names = entries(path);
    return names ? *std::move(names) : std::vector<std::string>();
}

}  // namespace natra::files
