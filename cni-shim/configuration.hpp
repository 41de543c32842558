// SPDX-License-Identifier: Apache-2.0
// The network configuration that arrives on stdin.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "cni-shim/cni_error.hpp"
#include "cni-shim/json_text.hpp"
#include "daemon/limits/limits.hpp"

namespace natra::shim {

// What every verb needs, and the document for the rest.
struct Envelope {
    std::string name;     // of the network
    std::string version;  // cniVersion; "0.1.0" if the configuration has none
    Json document;
};

// natra's own keys.
struct Policy {
    bool fail_open = true;           // failurePolicy: "open" or "closed"
    bool runtime_bursts = false;     // burstPolicy: "default" or "runtime"
    bool strict_interfaces = false;  // strictInterfaces: only what the stock plugin would limit
    // attachMode, edtPacing, shaper: the data path of this network's pods; "auto" leaves it to natrad.
    std::string attach_mode = "auto";
    std::string edt_pacing = "auto";
    std::string shaper = "auto";
    std::chrono::milliseconds timeout{2000};  // timeoutMs: 1 to 60000; all that a verb waits for natrad
};

// Codes 6 and 7, as the Go library checks a configuration.
CniResult<Envelope> read_envelope(std::string_view text);

// Code 7 naming key and value.
CniResult<Policy> read_policy(const Json& document);
// For verbs that a wrong key must not stop: what is right counts, the rest has its default.
Policy read_policy_leniently(const Json& document);

// The result of the plugins before this one, if there is one; code 999 unless it is an object of
// a version whose results have the form that `version` has.
CniResult<std::optional<Json>> read_previous_result(const Envelope& envelope);

}  // namespace natra::shim
