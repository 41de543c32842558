// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/pins.hpp"

#include <utility>

#include "daemon/datapath/record.hpp"

namespace natra::pods {
namespace {

using Code = Error::Code;
using datapath::AttachMode;
using datapath::EdtPacing;
using datapath::Shaper;

Error not_one_of(std::string_view key, std::string_view value, std::string_view allowed) {
    return fail(Code::invalid_argument, key, ": \"", value, "\" is none of ", allowed);
}

}  // namespace

Pins changed(const Pins& pins, const PinsChange& change) {
    return {.attach_mode = change.attach_mode.value_or(pins.attach_mode),
            .edt_pacing = change.edt_pacing.value_or(pins.edt_pacing),
            .shaper = change.shaper.value_or(pins.shaper)};
}

Result<AttachMode> parse_attach_mode(std::string_view key, std::string_view value) {
    if (const auto mode = datapath::attach_mode_from(value)) return *mode;
    return not_one_of(key, value, "auto, tcx, clsact");
}

Result<EdtPacing> parse_edt_pacing(std::string_view key, std::string_view value) {
    if (const auto pacing = datapath::edt_pacing_from(value)) return *pacing;
    return not_one_of(key, value, "auto, on, off");
}

Result<std::optional<Shaper>> parse_shaper(std::string_view key, std::string_view value) {
    if (value == "auto") return std::optional<Shaper>();
    if (const auto shaper = datapath::shaper_from(value)) return shaper;
    return not_one_of(key, value, "auto, edt, htb, police");
}

std::string shaper_text(const std::optional<Shaper>& shaper) {
    return shaper ? std::string(to_string(*shaper)) : "auto";
}

Result<void> validate(const Pins& pins, std::string_view edt_pacing_key, std::string_view shaper_key) {
    if (!pins.shaper || pins.edt_pacing == EdtPacing::automatic) return {};
    if ((pins.edt_pacing == EdtPacing::on) == (pins.shaper == Shaper::edt)) return {};
    return fail(Code::invalid_argument, edt_pacing_key, ": \"", to_string(pins.edt_pacing), "\" contradicts ",
                shaper_key, ": \"", to_string(*pins.shaper), "\"");
}

std::vector<std::string> impossible_on(const datapath::Features& features, const Pins& pins) {
    std::vector<std::string> out;
    const auto add = [&](std::string_view what, std::string_view missing) {
        out.push_back(concat(what, " is configured, but kernel ", features.kernel, " has no ", missing,
                             ": the best that works is used instead"));
    };
    if (pins.attach_mode == AttachMode::tcx && !features.tcx) add("attachMode \"tcx\"", "tcx");
    if (pins.edt_pacing == EdtPacing::on && !features.fq) add("edtPacing \"on\"", "sch_fq");
    if (pins.shaper == Shaper::edt && !features.fq) add("shaper \"edt\"", "sch_fq");
    if (pins.shaper == Shaper::htb && !features.htb) add("shaper \"htb\"", "sch_htb");
    return out;
}

datapath::Wish wish_of(const PinSources& sources) {
    datapath::Wish out;
    const std::pair<const Pins&, const char*> strongest_first[] = {{sources.by_operator, "an operator"},
                                                                   {sources.pod, "the pod's configuration"},
                                                                   {sources.node, "configuration"}};
    for (const auto& [pins, name] : strongest_first) {
        if (out.attach_mode == AttachMode::automatic && pins.attach_mode != AttachMode::automatic) {
            out.attach_mode = pins.attach_mode;
            out.attach_mode_by = name;
        }
        if (!out.shaper_by.empty() || (!pins.shaper && pins.edt_pacing == EdtPacing::automatic)) continue;
        out.shaper = pins.edt_pacing == EdtPacing::on ? Shaper::edt : pins.shaper;
        out.avoid_edt = pins.edt_pacing == EdtPacing::off;
        out.shaper_by = name;
    }
    return out;
}

}  // namespace natra::pods
