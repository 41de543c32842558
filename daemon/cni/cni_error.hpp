// SPDX-License-Identifier: Apache-2.0
// The error object that a CNI plugin prints.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "daemon/cni/json_text.hpp"
#include "daemon/util/error.hpp"

namespace natra::cni {

// The CNI specification's; 8 and 999 are its Go library's.
enum class CniCode : unsigned {
    incompatible_version = 1,
    unknown_container = 3,
    invalid_environment = 4,
    io_failure = 5,
    decoding_failure = 6,
    invalid_configuration = 7,
    invalid_netns = 8,
    try_again_later = 11,
    not_available = 50,
    internal = 999,  // what upstream's plugin answers for everything it finds itself
};

struct CniError {
    CniCode code;
    std::string message;
    std::string details;  // empty: not printed
};

template <class T> using CniResult = Result<T, CniError>;

// CniCode::internal for a field of the network configuration, which it names with the value found.
CniError wrong_type(std::string_view field, std::string_view expected, const Json& found);

// As the Go library prints it: four spaces, no cniVersion.
std::string to_text(const CniError& error);

}  // namespace natra::cni
