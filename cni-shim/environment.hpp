// SPDX-License-Identifier: Apache-2.0
// What a runtime passes in CNI_* variables.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "cni-shim/cni.hpp"
#include "cni-shim/version.hpp"

namespace natra::shim {

struct Environment {
    Verb verb = Verb::version;
    std::string container_id;
    std::string netns;      // a path; may be empty for DEL
    std::string interface;  // its name inside the namespace
    // From CNI_ARGS; empty outside Kubernetes.
    std::string pod_namespace;
    std::string pod_name;
    std::string pod_uid;
    bool own_netns_allowed = false;  // CNI_NETNS_OVERRIDE
};

// Nullptr or "" for what is not set.
using GetVariable = std::function<const char*(const char*)>;

// The variable's value, or `otherwise` where it is not set.
std::string value_or(const GetVariable& variable, const char* name, const std::string& otherwise);

// NATRA_RUNTIME_DIR, else /run/natra: natrad's runtimeDir.
std::string runtime_directory(const GetVariable& variable);

// CNI_COMMAND as it came.
std::string command(const GetVariable& variable);

// Code 4 naming every variable that the verb needs and that is missing, or the one that
// is malformed. CNI_PATH is needed for GC alone, as the specification has it.
CniResult<Environment> parse_environment(const GetVariable& variable);

// "Name" rules of container IDs and networks: ^[a-zA-Z0-9][a-zA-Z0-9_.\-]*$
bool is_cni_name(std::string_view text);

}  // namespace natra::shim
