// SPDX-License-Identifier: Apache-2.0
#include "daemon/settings.hpp"

#include <charconv>
#include <cstdlib>

namespace natra {
namespace {

constexpr std::size_t max_pool_size = 4096;

std::string variable(const char* name, std::string fallback) {
    const char* const value = std::getenv(name);
    return value == nullptr || *value == '\0' ? std::move(fallback) : std::string(value);
}

}  // namespace

Result<Settings> settings_from_environment() {
    Settings out;
    out.runtime_dir = variable("NATRA_RUNTIME_DIR", out.runtime_dir);
    out.registry.state_dir = out.runtime_dir + "/attachments";
    out.spool_dir = variable("NATRA_SPOOL_DIR", out.runtime_dir + "/spool");
    out.engine.pin_root = variable("NATRA_BPFFS_DIR", out.engine.pin_root);

    const auto shaper = variable("NATRA_SHAPER", "auto");
    out.engine.shaper = datapath::shaper_from(shaper);
    if (shaper != "auto" && !out.engine.shaper)
        return fail(Error::Code::invalid_argument, "NATRA_SHAPER: \"", shaper, "\" is none of auto, edt, htb, police");

    const auto pool = variable("NATRA_POOL_SIZE", std::to_string(out.engine.pool_size));
    const auto [end, error] = std::from_chars(pool.data(), pool.data() + pool.size(), out.engine.pool_size);
    if (error != std::errc() || end != pool.data() + pool.size() || out.engine.pool_size > max_pool_size)
        return fail(Error::Code::invalid_argument, "NATRA_POOL_SIZE: \"", pool, "\" is not a number from 0 to ",
                    max_pool_size);

    const auto mode = variable("NATRA_ATTACH_MODE", "auto");
    if (mode == "tcx")
        out.engine.attach_mode = datapath::AttachMode::tcx;
    else if (mode == "clsact")
        out.engine.attach_mode = datapath::AttachMode::clsact;
    else if (mode != "auto")
        return fail(Error::Code::invalid_argument, "NATRA_ATTACH_MODE: \"", mode, "\" is none of auto, tcx, clsact");
    return out;
}

}  // namespace natra
