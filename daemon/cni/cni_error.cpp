// SPDX-License-Identifier: Apache-2.0
#include "daemon/cni/cni_error.hpp"

#include "daemon/cni/json_text.hpp"

namespace natra::cni {

std::string to_text(const CniError& error) {
    Json object;
    object["code"] = static_cast<unsigned>(error.code);
    object["msg"] = error.message;
    if (!error.details.empty()) object["details"] = error.details;
    return print(object);
}

CniError wrong_type(std::string_view field, std::string_view expected, const Json& found) {
    constexpr std::string_view what = "failed to parse network configuration: ";
    return {CniCode::internal, concat(what, field, ": expected ", expected, ", got ", describe(found)), ""};
}

}  // namespace natra::cni
