// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/wish.hpp"

namespace natra::datapath {

std::string_view to_string(AttachMode mode) {
    switch (mode) {
    case AttachMode::automatic: return "auto";
    case AttachMode::tcx: return "tcx";
    case AttachMode::clsact: return "clsact";
    }
    return "unknown";
}

std::string_view to_string(EdtPacing pacing) {
    switch (pacing) {
    case EdtPacing::automatic: return "auto";
    case EdtPacing::on: return "on";
    case EdtPacing::off: return "off";
    }
    return "unknown";
}

std::optional<AttachMode> attach_mode_from(std::string_view name) {
    for (const auto mode : {AttachMode::automatic, AttachMode::tcx, AttachMode::clsact})
        if (name == to_string(mode)) return mode;
    return std::nullopt;
}

std::optional<EdtPacing> edt_pacing_from(std::string_view name) {
    for (const auto pacing : {EdtPacing::automatic, EdtPacing::on, EdtPacing::off})
        if (name == to_string(pacing)) return pacing;
    return std::nullopt;
}

}  // namespace natra::datapath
