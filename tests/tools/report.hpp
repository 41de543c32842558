// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <iostream>
#include <nlohmann/json.hpp>

#include "daemon/util/error.hpp"

namespace natra::traffic {

// One JSON object on standard output is what every subcommand prints; the return value is the exit status.
inline int report(const nlohmann::json& result) {
    std::cout << result.dump() << std::endl;
    return 0;
}

inline int report_error(const Error& error) {
    std::cout << nlohmann::json{{"error", error.what}}.dump() << std::endl;
    std::cerr << "natra-traffic: " << error.what << std::endl;
    return error.code == Error::Code::invalid_argument ? 2 : 1;
}

}  // namespace natra::traffic
