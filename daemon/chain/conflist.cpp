// SPDX-License-Identifier: Apache-2.0
#include "daemon/chain/conflist.hpp"

#include <algorithm>
#include <array>
#include <iterator>

#include "daemon/chain/cni_version.hpp"
#include "daemon/util/utf8.hpp"

namespace natra::chain {
namespace {

using Code = Error::Code;

constexpr std::string_view ours = "natra";
constexpr std::string_view stock = "bandwidth";

// Plugins that make or bring the pod's interface. The first of a list always does, whatever its
// name; these are known to come second as well.
constexpr std::array creators = {
    std::string_view("aws-cni"), std::string_view("azure-vnet"),  std::string_view("bridge"),
    std::string_view("calico"),  std::string_view("cilium-cni"),  std::string_view("flannel"),
    std::string_view("gke"),     std::string_view("host-device"), std::string_view("ipvlan"),
    std::string_view("macvlan"), std::string_view("multus"),      std::string_view("ptp"),
    std::string_view("sriov"),   std::string_view("terway"),      std::string_view("vlan"),
};

// As libcni makes it of a single plugin: name and version move to the list, and no plugins come from a folder.
Json as_list(Json plugin) {
    Json list = Json::object();
    list["name"] = "";
    for (const char* const field : {"cniVersion", "name"})
        for (auto it = plugin.begin(); it != plugin.end();) {
            const bool found = names_field(it.key(), field);
            if (found && it->is_string()) list[field] = *it;
            it = found ? plugin.erase(it) : std::next(it);
        }
    list["loadOnlyInlinedPlugins"] = true;
    list["plugins"] = Json::array({std::move(plugin)});
    return list;
}

// A list with at least one plugin of its own.
Result<Json> parse_list(std::string_view text, Format format) {
    const auto network = parse_network(text, format);
    if (!network) return network.error();
    if (network->plugins.empty()) return fail(Code::invalid_argument, "plugins: none in the file itself");
    auto conf = parse_as_go(text);
    return format == Format::single ? as_list(*std::move(conf)) : conf;
}

// Behind every other spelling, whichever the file had.
void set_type(Json& plugin) {
    for (auto it = plugin.begin(); it != plugin.end();)
        it = names_field(it.key(), "type") && it.key() != "type" ? plugin.erase(it) : std::next(it);
    plugin["type"] = ours;
}

void offer_capabilities(Json& plugin) {
    auto& capabilities = plugin["capabilities"];
    if (!capabilities.is_object()) capabilities = Json::object();
    for (const char* const name : {"bandwidth", "io.kubernetes.cri.pod-annotations"}) capabilities[name] = true;
}

// The version that a runtime uses: the highest of those that the list offers, even above what libcni knows by now.
Result<void> check_version(const Json& list) {
    constexpr std::array spoken = {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};
    std::vector<std::string> offered;
    if (const auto it = list.find("cniVersion"); it != list.end()) offered.push_back(it->get<std::string>());
    if (const auto it = list.find("cniVersions"); it != list.end())
        for (const auto& each : *it) offered.push_back(each.get<std::string>());
    CniVersion highest{0, 1, 0};  // what no version means
    std::string text = "0.1.0";
    for (const auto& each : offered) {
        const auto version = parse_cni_version(each);
        if (!version) return version.error();
        if (*version < highest) continue;
        highest = *version;
        text = each;
    }
    if (std::find(spoken.begin(), spoken.end(), text) != spoken.end()) return {};
    return fail(Code::invalid_argument, "cniVersion: natra does not speak \"", text, "\"");
}

std::string print(const Json& list) { return list.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

auto find_type(Json& plugins, std::string_view type) {
    return std::find_if(plugins.begin(), plugins.end(), [&](const Json& each) { return type_of(each) == type; });
}

}  // namespace

Result<std::optional<Edit>> with_natra(std::string_view text, Format format) {
    auto list = parse_list(text, format);
    if (!list) return list.error();
    auto& plugins = (*list)["plugins"];
    if (find_type(plugins, ours) != plugins.end()) return std::optional<Edit>();
    if (auto r = check_version(*list); !r) return r.error();
    if (!is_utf8(text)) return fail(Code::unsupported, "not UTF-8: natra could not put it back as it was");
    if (const auto found = find_type(plugins, stock); found != plugins.end()) {
        set_type(*found);
        offer_capabilities(*found);
        return std::optional(Edit{print(*list), concat("in place of ", stock)});
    }
    auto before = plugins.begin();
    for (auto it = plugins.begin(); it != plugins.end(); ++it)
        if (std::find(creators.begin(), creators.end(), type_of(*it)) != creators.end()) before = it;
    const auto how = concat("behind ", type_of(*before));
    Json natra = {{"type", ours}};
    offer_capabilities(natra);
    plugins.insert(before + 1, std::move(natra));
    return std::optional(Edit{print(*list), how});
}

Result<std::optional<std::string>> without_natra(std::string_view text, std::string_view original, Format format) {
    auto list = parse_list(text, Format::list);
    if (!list) return list.error();
    auto& plugins = (*list)["plugins"];
    const auto found = find_type(plugins, ours);
    if (found == plugins.end()) return std::optional<std::string>();
    auto before = parse_list(original, format);
    if (before) {
        auto& earlier = (*before)["plugins"];
        if (const auto replaced = find_type(earlier, stock); replaced != earlier.end()) {
            *found = *replaced;
            return std::optional(print(*list));
        }
    }
    plugins.erase(found);
    return std::optional(print(*list));
}

bool has_natra(const Network& network) {
    return std::any_of(network.plugins.begin(), network.plugins.end(),
                       [](const Plugin& each) { return each.type == ours; });
}

bool natra_in_folder(const Network& network) {
    return std::any_of(network.plugins.begin(), network.plugins.end(),
                       [](const Plugin& each) { return !each.path.empty() && each.type == ours; });
}

Result<void> check_folder(const Network& network) {
    if (natra_in_folder(network)) return {};
    const Plugin* maker = &network.plugins.front();
    for (const auto& each : network.plugins) {
        if (!each.path.empty() && each.type == stock)
            return fail(Code::unsupported, "the plugin \"", stock, "\" is in ", each.path,
                        ": replace it there by natra");
        if (std::find(creators.begin(), creators.end(), each.type) != creators.end()) maker = &each;
    }
    if (maker->path.empty()) return {};
    return fail(Code::unsupported, "the plugin \"", maker->type, "\", which makes the interface, is in ", maker->path,
                ": add natra in a file behind it");
}

}  // namespace natra::chain
