// SPDX-License-Identifier: Apache-2.0
#include "daemon/chain/conf_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include "daemon/util/files.hpp"
#include "daemon/util/log.hpp"

namespace natra::chain {
namespace {

using Code = Error::Code;

constexpr std::size_t max_conf_bytes = 1 << 20;

std::optional<Format> format_of(const std::string& name) {
    if (name.ends_with(".conflist")) return Format::list;
    if (name.ends_with(".conf") || name.ends_with(".json")) return Format::single;
    return std::nullopt;
}

bool is_regular(const std::string& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

bool is_program(const std::string& path) { return is_regular(path) && ::access(path.c_str(), X_OK) == 0; }

std::string joined(const std::vector<std::string>& parts) {
    std::string out;
    for (const auto& part : parts) out += concat(out.empty() ? "" : ", ", part);
    return out;
}

}  // namespace

std::optional<ConfFile> conf_in_use(const std::string& directory) {
    for (const auto& name : files::list(directory)) {
        const auto format = format_of(name);
        ConfFile file{.path = concat(directory, "/", name), .format = format.value_or(Format::list), .text = {}};
        if (!format || !is_regular(file.path)) continue;
        auto text = files::read(file.path, max_conf_bytes);
        if (!text) {
            log::warning(concat("chain: ", text.error().what));
            continue;
        }
        if (const auto types = plugin_types(*text, *format); !types) {
            log::debug(concat("chain: passed over ", file.path, ": ", types.error().what));
            continue;
        }
        file.text = *std::move(text);
        return file;
    }
    return std::nullopt;
}

std::string list_path_for(const std::string& path) { return path + ".conflist"; }

std::string kept_path_for(const std::string& path) { return path + ".natra-original"; }

Result<void> natra_is_beside(const std::string& first_type, const std::vector<std::string>& directories) {
    bool found = false;
    for (const auto& directory : directories) {
        if (!is_program(concat(directory, "/", first_type))) continue;
        found = true;
        // Any of them may be the runtime's.
        if (!is_program(concat(directory, "/natra")))
            return fail(Code::unavailable, "natra is not in ", directory, ", where the plugin \"", first_type,
                        "\" is: link it there");
    }
    if (!found)
        return fail(Code::unavailable, "the plugin \"", first_type, "\" is in none of ", joined(directories),
                    ": cannot tell where the runtime looks for plugins");
    return {};
}

}  // namespace natra::chain
