// SPDX-License-Identifier: Apache-2.0
// What the log says of pods: one line per decision, and the journal fields that go with it.
#pragma once

#include <string>
#include <string_view>

#include "daemon/pods/pod.hpp"
#include "daemon/util/log.hpp"

namespace natra::pods {

// Of the pod, under NATRA_NAMESPACE, NATRA_POD, NATRA_POD_UID, NATRA_CONTAINER_ID, NATRA_INTERFACE and
// NATRA_ATTACHMENT.
log::Fields identity_fields(const AttachRequest& request, const std::string& id);
// The same, and for each direction NATRA_INGRESS_RATE (bit/s), _BURST (bits), _SOURCE, _HOOK and _SHAPER;
// NATRA_OPERATOR: by whom.
log::Fields limit_fields(const Pod& pod, const std::string& by);

// "VERB namespace/name interface: what is in force, where and why"
void announce(const log::Event& event, std::string_view verb, const Pod& pod);
// The same of a change, and who made it or ended it: "uid 0 over D-Bus".
void announce_change(const log::Event& event, std::string_view verb, const Pod& pod, const std::string& by);
// "namespace/name interface: text"
void announce(log::Level level, const log::Event& event, const Pod& pod, std::string_view text);
// A warning for each direction that is not limited as asked.
void announce_shortfalls(const Pod& pod);

}  // namespace natra::pods
