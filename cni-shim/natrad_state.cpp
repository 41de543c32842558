// SPDX-License-Identifier: Apache-2.0
#include "cni-shim/natrad_state.hpp"

#include <unistd.h>

#include "daemon/pods/attachment_id.hpp"
#include "daemon/util/files.hpp"

namespace natra::shim {
namespace {

std::string id_of(const Environment& attachment) {
    return pods::attachment_id(attachment.container_id, attachment.interface);
}

}  // namespace

NatradState NatradState::of_environment(const GetVariable& variable) {
    return {runtime_directory(variable), value_or(variable, "NATRA_BPFFS_DIR", "/sys/fs/bpf/natra")};
}

bool NatradState::has_record(const Environment& attachment) const {
    return ::access(concat(runtime_, "/attachments/", id_of(attachment), ".json").c_str(), F_OK) == 0;
}

Result<void> NatradState::remove_links(const Environment& attachment) const {
    Result<void> out;
    for (const char* const direction : {"ingress", "egress"})
        // The other two are those of a switch that natrad has not finished.
        for (const char* const pin : {"_link", "_link_next", "_link_old"})
            if (auto r = files::remove(concat(pins_, "/", id_of(attachment), "/", direction, pin)); !r && out) out = r;
    return out;
}

}  // namespace natra::shim
