// SPDX-License-Identifier: Apache-2.0
#include "daemon/util/error.hpp"

#include <system_error>

namespace natra {

std::string_view to_string(Error::Code code) {
    switch (code) {
    case Error::Code::invalid_argument: return "invalid_argument";
    case Error::Code::not_found: return "not_found";
    case Error::Code::already_exists: return "already_exists";
    case Error::Code::unsupported: return "unsupported";
    case Error::Code::no_device: return "no_device";
    case Error::Code::mismatch: return "mismatch";
    case Error::Code::unavailable: return "unavailable";
    case Error::Code::kernel: return "kernel";
    case Error::Code::access_denied: return "access_denied";
    case Error::Code::internal: return "internal";
    }
    return "unknown";
}

Error make_error(Error::Code code, int sys, std::string what) {
    // generic_category().message is thread-safe, strerror is not.
    if (sys != 0) what += ": " + std::generic_category().message(sys);
    return Error{code, sys, std::move(what)};
}

}  // namespace natra
