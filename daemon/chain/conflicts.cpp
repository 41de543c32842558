// SPDX-License-Identifier: Apache-2.0
#include "daemon/chain/conflicts.hpp"

#include <filesystem>
#include <system_error>

namespace natra::chain {
namespace {

enum class Limiter { none, natra, stock };

// The file that runs when a plugin of this type is called; empty if there is none.
std::string program(const std::string& directory, const std::string& type) {
    std::error_code error;
    const auto file = std::filesystem::canonical(directory + "/" + type, error);
    return error ? std::string() : file.string();
}

Limiter bandwidth_in(const std::vector<std::string>& directories) {
    for (const auto& directory : directories) {
        const auto bandwidth = program(directory, "bandwidth");
        if (bandwidth.empty()) continue;
        const bool linked =
            std::filesystem::path(bandwidth).filename() == "natra" || bandwidth == program(directory, "natra");
        return linked ? Limiter::natra : Limiter::stock;
    }
    return Limiter::none;
}

struct Place {
    Limiter limiter;
    std::string text;
};

// Inline plugins come first, so that an index is one of the file's own list.
std::vector<Place> limiters(const Network& network, Limiter bandwidth) {
    std::vector<Place> out;
    for (std::size_t i = 0; i < network.plugins.size(); ++i) {
        const auto& plugin = network.plugins[i];
        const auto limiter = plugin.type == "natra"       ? Limiter::natra
                             : plugin.type == "bandwidth" ? bandwidth
                                                          : Limiter::none;
        if (limiter == Limiter::none) continue;
        const auto where = plugin.path.empty() ? concat("plugins[", i, "]") : plugin.path;
        const bool link = plugin.type == "bandwidth" && limiter == Limiter::natra;
        out.push_back({limiter, concat(where, " (\"", plugin.type, "\"", link ? ", a link to natra" : "", ")")});
    }
    return out;
}

}  // namespace

std::vector<std::string> conflicts(const ConfFile& file, const std::vector<std::string>& binary_directories) {
    std::vector<std::string> out;
    const auto places = limiters(file.network, bandwidth_in(binary_directories));
    for (std::size_t i = 1; i < places.size(); ++i) {
        const auto& first = places[i - 1];
        const auto& second = places[i];
        const auto both = concat(file.path, ": ", first.text, " and ", second.text);
        if (first.limiter == Limiter::natra && second.limiter == Limiter::natra)
            out.push_back(concat(both, " are both natra, so no pod with a limit starts: take one of them out"));
        else if (first.limiter == Limiter::natra)
            out.push_back(concat(both,
                                 " limit the same pods, so none with a limit starts (\"create qdisc: file exists\"): "
                                 "take the latter out"));
        else if (second.limiter == Limiter::natra)
            out.push_back(concat(both, " limit the same pods; natra takes over from the former, whose CHECK fails: "
                                       "take the former out"));
    }
    return out;
}

}  // namespace natra::chain
