// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "daemon/util/error.hpp"

namespace natra {

// The same call may succeed in a moment: something was busy or short (memory, buffers, descriptors). Any other errno
// says that the call is not possible here.
inline bool may_pass(int sys) {
    constexpr int passing[] = {EAGAIN, EINTR, ENOMEM, ENOBUFS, EBUSY, EMFILE, ENFILE, ETIMEDOUT};
    return std::find(std::begin(passing), std::end(passing), sys) != std::end(passing);
}
inline bool may_pass(const Error& error) { return may_pass(error.sys); }

}  // namespace natra
