// SPDX-License-Identifier: Apache-2.0
#include "daemon/cni/annotations.hpp"

namespace natra::cni {
namespace {

constexpr std::string_view capability = "io.kubernetes.cri.pod-annotations";

void take(const Json& annotations, FoundAnnotations& out) {
    if (annotations.is_null()) return;
    if (!annotations.is_object()) {
        out.problems.push_back(concat(capability, ": expected an object, got ", describe(annotations)));
        return;
    }
    for (const auto& [key, value] : annotations.items()) {
        if (!limits::is_relevant_annotation(key)) continue;
        // D-Bus' texts end at a NUL.
        if (!value.is_string() || value.get_ref<const std::string&>().find('\0') != std::string::npos ||
            key.find('\0') != std::string::npos)
            out.problems.push_back(concat("annotation ", Json(key).dump(), ": expected a text, got ", describe(value)));
        else
            out.relevant[key] = value.get<std::string>();
    }
}

}  // namespace

FoundAnnotations read_annotations(const Json& configuration) {
    FoundAnnotations out;
    for (const auto& [key, value] : configuration.items()) {
        if (!key_matches(key, "runtimeConfig") || !value.is_object()) continue;
        for (const auto& [name, annotations] : value.items())
            if (key_matches(name, capability)) take(annotations, out);
    }
    return out;
}

}  // namespace natra::cni
