// SPDX-License-Identifier: Apache-2.0
// The network configuration that arrives on stdin.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cni-shim/cni.hpp"

namespace natra::shim {

// What every verb needs, and the document for the rest.
struct Envelope {
    std::string name;     // of the network
    std::string version;  // cniVersion; "0.1.0" if the configuration has none
    Json document;
};

// Codes 6 and 7, as the Go library checks a configuration.
CniResult<Envelope> read_envelope(std::string_view text);

// The result of the plugins before this one, if there is one; code 999 unless it is an object of
// a version whose results have the form that `version` has.
CniResult<std::optional<Json>> read_previous_result(const Envelope& envelope);

}  // namespace natra::shim
