// SPDX-License-Identifier: Apache-2.0
#include "daemon/runtime_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

#include "daemon/util/files.hpp"

namespace natra {

Result<UniqueFd> lock_runtime_dir(const std::string& directory) {
    if (auto r = files::make_directory(directory); !r) return r.error();
    const auto path = directory + "/lock";
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) return fail_errno(Error::Code::kernel, errno, "open ", path);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) < 0)
        return fail_errno(Error::Code::already_exists, errno, "another natrad holds ", path);
    return fd;
}

}  // namespace natra
