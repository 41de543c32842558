// SPDX-License-Identifier: Apache-2.0
// The pod's annotations as runtimes pass them on: runtimeConfig["io.kubernetes.cri.pod-annotations"].
#pragma once

#include <string>
#include <vector>

#include "daemon/cni/json_text.hpp"
#include "daemon/limits/annotations.hpp"

namespace natra::cni {

struct FoundAnnotations {
    limits::Annotations relevant;       // to natra; what they mean is natrad's to decide
    std::vector<std::string> problems;  // what cannot be an annotation, and was left out
};

// Never fails: what a pod's author wrote wrongly must not stop the pod.
FoundAnnotations read_annotations(const Json& configuration);

}  // namespace natra::cni
