// SPDX-License-Identifier: Apache-2.0
#include "daemon/chain/conf_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include "daemon/util/log.hpp"

namespace natra::chain {
namespace {

using Code = Error::Code;

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

Result<std::optional<ConfFile>> conf_in_use(const std::string& directory) {
    const auto files = conf_files(directory, {".conf", ".conflist", ".json"});
    if (!files) return files.error();
    for (const auto& path : *files) {
        const auto format = path.ends_with(".conflist") ? Format::list : Format::single;
        auto text = read_conf(path);
        auto network = text ? load_network(path, *text, format) : Result<Network>(text.error());
        if (network) return std::optional(ConfFile{path, format, *std::move(text), *std::move(network)});
        if (network.error().code != Code::invalid_argument)
            return fail(network.error().code, path, ": ", network.error().what);
        log::debug(concat("chain: passed over ", path, ": ", network.error().what));
    }
    return std::optional<ConfFile>();
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
