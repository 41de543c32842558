// SPDX-License-Identifier: Apache-2.0
// natra's own keys in a network configuration.
#pragma once

#include <chrono>
#include <string>

#include "daemon/cni/cni_error.hpp"
#include "daemon/cni/json_text.hpp"

namespace natra::cni {

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

// Code 7 naming key and value.
CniResult<Policy> read_policy(const Json& document);
// For verbs that a wrong key must not stop: what is right counts, the rest has its default.
Policy read_policy_leniently(const Json& document);

}  // namespace natra::cni
