// SPDX-License-Identifier: Apache-2.0
// Hook and shaper as somebody pins them: the node's configuration, the pod's
// network configuration, an operator.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "daemon/datapath/features.hpp"
#include "daemon/datapath/wish.hpp"
#include "daemon/util/error.hpp"

namespace natra::pods {

// A key at "auto" (shaper: absent) pins nothing: the next weaker source decides.
struct Pins {
    datapath::AttachMode attach_mode = datapath::AttachMode::automatic;
    datapath::EdtPacing edt_pacing = datapath::EdtPacing::automatic;
    std::optional<datapath::Shaper> shaper;
    [[nodiscard]] bool any() const { return *this != Pins{}; }
    friend bool operator==(const Pins&, const Pins&) = default;
};

// A change of some keys.
struct PinsChange {
    std::optional<datapath::AttachMode> attach_mode;
    std::optional<datapath::EdtPacing> edt_pacing;
    std::optional<std::optional<datapath::Shaper>> shaper;
    [[nodiscard]] bool any() const { return attach_mode || edt_pacing || shaper; }
};
Pins changed(const Pins& pins, const PinsChange& change);

// For each key its value as text; Code::invalid_argument naming it and the values that it can have.
Result<datapath::AttachMode> parse_attach_mode(std::string_view key, std::string_view value);
Result<datapath::EdtPacing> parse_edt_pacing(std::string_view key, std::string_view value);
Result<std::optional<datapath::Shaper>> parse_shaper(std::string_view key, std::string_view value);
std::string shaper_text(const std::optional<datapath::Shaper>& shaper);  // "auto" if absent

// Code::invalid_argument if edt_pacing and shaper of one source contradict each other; the names are the
// keys' in that source.
Result<void> validate(const Pins& pins, std::string_view edt_pacing_key, std::string_view shaper_key);

// What of these this kernel cannot do, a sentence each. Attachments get the best that works instead.
std::vector<std::string> impossible_on(const datapath::Features& features, const Pins& pins);

// The strongest source that pins a key decides it: operator, pod, node. edt_pacing and shaper are one
// question: the strongest source that says anything about either answers it.
struct PinSources {
    const Pins& by_operator;
    const Pins& pod;
    const Pins& node;
};
datapath::Wish wish_of(const PinSources& sources);

}  // namespace natra::pods
