// SPDX-License-Identifier: Apache-2.0
// Files and folders as libcni reads them.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "daemon/chain/network.hpp"
#include "daemon/util/unique_fd.hpp"

namespace natra::chain {
namespace {

using Code = Error::Code;

// Names that libcni, which is root, cannot open either. Anything else may be natrad's own trouble.
Code code_of(int error) {
    const bool refused = error == ENOENT || error == ENOTDIR || error == EISDIR || error == ELOOP ||
                         error == ENAMETOOLONG || error == ENXIO;
    return refused ? Code::invalid_argument : Code::kernel;
}

bool is_folder(int directory, const dirent& entry) {
    if (entry.d_type != DT_UNKNOWN) return entry.d_type == DT_DIR;
    struct stat info {};
    return ::fstatat(directory, entry.d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode);
}

struct CloseFolder {
    void operator()(DIR* folder) const { ::closedir(folder); }
};

}  // namespace

Result<std::vector<std::string>> conf_files(const std::string& directory,
                                            const std::vector<std::string_view>& endings) {
    std::vector<std::string> out;
    const std::unique_ptr<DIR, CloseFolder> folder(::opendir(directory.c_str()));
    if (!folder && errno == ENOENT) return out;
    if (!folder) return fail_errno(code_of(errno), errno, "read the folder ", directory);
    errno = 0;
    while (const dirent* const entry = ::readdir(folder.get())) {
        const std::string_view name = entry->d_name;
        const bool wanted =
            std::any_of(endings.begin(), endings.end(), [&](auto each) { return name.ends_with(each); });
        if (wanted && !is_folder(::dirfd(folder.get()), *entry)) out.push_back(concat(directory, "/", name));
        errno = 0;
    }
    if (errno != 0) return fail_errno(Code::kernel, errno, "read the folder ", directory);
    std::sort(out.begin(), out.end());
    return out;
}

Result<std::string> read_conf(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!fd) return fail_errno(code_of(errno), errno, "open ", path);
    std::string out;
    char buffer[4096];
    for (;;) {
        const auto n = ::read(fd.get(), buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno(code_of(errno), errno, "read ", path);
        if (n == 0) return out;
        out.append(buffer, static_cast<std::size_t>(n));
        if (out.size() > max_conf_bytes)
            return fail(Code::unsupported, path, ": larger than ", max_conf_bytes, " bytes");
    }
}

}  // namespace natra::chain
