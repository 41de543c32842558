// SPDX-License-Identifier: Apache-2.0
// What is wanted of an attachment's data path. How much of it the kernel can
// give is the engine's to find out; who wants it is decided by others.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/datapath/parameters.hpp"

namespace natra::datapath {

enum class AttachMode : std::uint8_t { automatic, tcx, clsact };
enum class EdtPacing : std::uint8_t { automatic, on, off };

struct Wish {
    AttachMode attach_mode = AttachMode::automatic;
    std::optional<Shaper> shaper;  // else the best that works
    bool avoid_edt = false;        // nothing that needs fq
    // Whose wish it is, for the reason: "configuration", "the pod's configuration", "an operator".
    std::string attach_mode_by;
    std::string shaper_by;
    friend bool operator==(const Wish&, const Wish&) = default;
};

std::string_view to_string(AttachMode mode);   // "auto", "tcx", "clsact"
std::string_view to_string(EdtPacing pacing);  // "auto", "on", "off"
std::optional<AttachMode> attach_mode_from(std::string_view name);
std::optional<EdtPacing> edt_pacing_from(std::string_view name);

}  // namespace natra::datapath
