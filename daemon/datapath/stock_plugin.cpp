// SPDX-License-Identifier: Apache-2.0
// Engine: what the stock bandwidth plugin put on a pod's host device, found and taken away.
#include "daemon/datapath/engine.hpp"
#include "daemon/util/log.hpp"

namespace natra::datapath {

using Code = Error::Code;

Result<bool> Engine::remove_stock_ifb(const std::string& name) {
    const auto link = find_stock_ifb(name);
    if (!link) return link.error();
    if (!*link) return false;
    if (auto r = host_.delete_link((*link)->ifindex); !r && r.error().code != Code::no_device) return r.error();
    log::info(concat("removed ", name, ", which the stock bandwidth plugin left"));
    return true;
}

Result<std::optional<Link>> Engine::find_stock_ifb(const std::string& name) {
    if (name.empty()) return std::optional<Link>();
    auto link = host_.link_by_name(name);
    if (link && link->kind == "ifb") return std::optional<Link>(*std::move(link));
    if (!link && link.error().code != Code::no_device) return link.error();
    return std::optional<Link>();
}

// Its filter would drop everything once the IFB is gone, and its qdiscs are in the way of natra's.
Result<void> Engine::take_over_from_stock(const AttachmentRecord& record, const std::string& ifb) {
    const auto link = find_stock_ifb(ifb);
    if (!link) return link.error();
    if (!*link) return {};
    if (record.has_host_side())
        if (auto r = host_.delete_stock_qdiscs(record.host_ifindex); !r) return r;
    if (auto r = remove_stock_ifb(ifb); !r) return r.error();
    log::info(concat(record.id, ": ", record.pod_device, " is taken over from the stock bandwidth plugin"));
    return {};
}

}  // namespace natra::datapath
