// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/record.hpp"

namespace natra::datapath {

Rates AttachmentRecord::rates() const {
    Rates out;
    for (const auto d : directions)
        if (of(d)) out.of(d) = of(d)->rate;
    return out;
}

std::string_view to_string(Direction direction) { return direction == Direction::ingress ? "ingress" : "egress"; }

std::string_view to_string(Shaper shaper) {
    switch (shaper) {
    case Shaper::edt: return "edt";
    case Shaper::htb: return "htb";
    case Shaper::police: return "police";
    }
    return "unknown";
}

std::string_view to_string(HookKind kind) {
    switch (kind) {
    case HookKind::tcx: return "tcx";
    case HookKind::clsact: return "clsact";
    case HookKind::htb: return "htb";
    }
    return "unknown";
}

std::optional<Shaper> shaper_from(std::string_view name) {
    for (const auto shaper : {Shaper::edt, Shaper::htb, Shaper::police})
        if (name == to_string(shaper)) return shaper;
    return std::nullopt;
}

std::optional<HookKind> hook_kind_from(std::string_view name) {
    for (const auto kind : {HookKind::tcx, HookKind::clsact, HookKind::htb})
        if (name == to_string(kind)) return kind;
    return std::nullopt;
}

std::string describe_device(const AttachmentRecord& record) {
    if (record.has_host_side()) return concat(record.host_device, " (ifindex ", record.host_ifindex, ")");
    return concat(record.pod_device, " (ifindex ", record.pod_ifindex, ") in ", record.netns_path);
}

std::string Reason::text() const { return concat(shaper, shaper.empty() || hook.empty() ? "" : "; ", hook); }

std::string unmet_wish(const AttachmentRecord& record, Direction direction) {
    const auto& shaping = record.of(direction);
    if (!shaping) return "";
    const auto& wish = record.wish;
    std::string out;
    const auto add = [&](std::string_view wanted, std::string_view by, std::string_view used) {
        out += concat(out.empty() ? "" : ", ", used, " instead of ", wanted, ", which is asked for by ", by);
    };
    if (wish.shaper && *wish.shaper != shaping->shaper)
        add(to_string(*wish.shaper), wish.shaper_by, to_string(shaping->shaper));
    if (wish.attach_mode != AttachMode::automatic && to_string(wish.attach_mode) != to_string(shaping->hook.kind))
        add(to_string(wish.attach_mode), wish.attach_mode_by, to_string(shaping->hook.kind));
    return out.empty() ? out : concat(out, " (", shaping->reason.text(), ")");
}

std::string describe_hook(const AttachmentRecord& record, const ShapingRecord& shaping) {
    return concat(to_string(shaping.hook.kind), shaping.hook.device_egress ? " egress " : " ingress ",
                  shaping.pod_side ? record.pod_device : record.host_device);
}

}  // namespace natra::datapath
