// SPDX-License-Identifier: Apache-2.0
#include "daemon/cni/previous_result.hpp"

namespace natra::cni {
namespace {

CniError malformed(std::string_view field, std::string_view expected, const Json& found) {
    return {CniCode::internal,
            concat("could not parse prevResult: ", field, ": expected ", expected, ", got ", describe(found)), ""};
}

// Absent and null are "".
CniResult<std::string> text_of(const Json& interface, std::string_view field, const std::string& path) {
    std::string out;
    for (const auto& [key, value] : interface.items()) {
        if (!key_matches(key, field) || value.is_null()) continue;
        if (!value.is_string()) return malformed(concat(path, ".", field), "a string", value);
        out = value.get<std::string>();
    }
    return out;
}

const Json* interfaces_of(const Json& result) {
    const Json* list = nullptr;
    for (const auto& [key, value] : result.items())
        if (key_matches(key, "interfaces") && !value.is_null()) list = &value;
    return list;
}

}  // namespace

bool lists_interfaces(const Json& result) {
    const Json* const list = interfaces_of(result);
    return list != nullptr && !list->empty();
}

CniResult<std::vector<std::string>> host_interfaces(const Json& result) {
    std::vector<std::string> out;
    const Json* const list = interfaces_of(result);
    if (list == nullptr) return out;
    if (!list->is_array()) return malformed("interfaces", "an array", *list);
    for (std::size_t i = 0; i < list->size(); ++i) {
        const auto& interface = (*list)[i];
        const auto path = concat("interfaces[", i, "]");
        if (!interface.is_object()) return malformed(path, "an object", interface);
        auto name = text_of(interface, "name", path);
        if (!name) return name.error();
        const auto sandbox = text_of(interface, "sandbox", path);
        if (!sandbox) return sandbox.error();
        // A name that is none of the kernel's is no interface of the host either.
        const bool possible = !name->empty() && name->find('\0') == std::string::npos;
        if (possible && sandbox->empty()) out.push_back(*std::move(name));
    }
    return out;
}

std::string print_result(const Json& result, std::string_view version) {
    Json out = Json::object();
    bool has_version = false;
    for (const auto& [key, value] : result.items()) {
        if (!key_matches(key, "cniVersion")) {
            out[key] = value;
        } else if (!has_version) {
            out["cniVersion"] = version;
            has_version = true;
        }
    }
    if (!has_version) out["cniVersion"] = version;
    return print(out);
}

}  // namespace natra::cni
