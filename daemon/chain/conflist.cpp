// SPDX-License-Identifier: Apache-2.0
#include "daemon/chain/conflist.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace natra::chain {
namespace {

using Json = nlohmann::ordered_json;
using Code = Error::Code;

constexpr std::string_view ours = "natra";
constexpr std::string_view stock = "bandwidth";
constexpr int max_depth = 64;  // printing recurses

// Plugins that make or bring the pod's interface. The first of a list always does, whatever its
// name; these are known to come second as well.
constexpr std::array creators = {
    std::string_view("aws-cni"), std::string_view("azure-vnet"),  std::string_view("bridge"),
    std::string_view("calico"),  std::string_view("cilium-cni"),  std::string_view("flannel"),
    std::string_view("gke"),     std::string_view("host-device"), std::string_view("ipvlan"),
    std::string_view("macvlan"), std::string_view("multus"),      std::string_view("ptp"),
    std::string_view("sriov"),   std::string_view("terway"),      std::string_view("vlan"),
};

std::string type_of(const Json& plugin) {
    const auto it = plugin.find("type");
    return it != plugin.end() && it->is_string() ? it->get<std::string>() : std::string();
}

Result<Json> parse(std::string_view text) {
    bool too_deep = false;
    const auto keep = [&too_deep](int depth, Json::parse_event_t, Json&) {
        too_deep = too_deep || depth > max_depth;
        return !too_deep;
    };
    try {
        auto value = Json::parse(text.begin(), text.end(), keep);
        if (too_deep) return fail(Code::invalid_argument, "nested deeper than ", max_depth, " levels");
        if (!value.is_object()) return fail(Code::invalid_argument, "not a JSON object");
        return value;
    } catch (const Json::exception& e) {
        return fail(Code::invalid_argument, e.what());
    }
}

// As libcni makes it of a single plugin: name and version move to the list.
Json as_list(Json plugin) {
    Json list = Json::object();
    for (const char* const key : {"cniVersion", "name"})
        if (const auto it = plugin.find(key); it != plugin.end()) {
            list[key] = *it;
            plugin.erase(it);
        }
    list["plugins"] = Json::array({std::move(plugin)});
    return list;
}

Result<Json> parse_list(std::string_view text, Format format) {
    auto conf = parse(text);
    if (!conf) return conf.error();
    if (format == Format::single) conf = as_list(*std::move(conf));
    const auto plugins = conf->find("plugins");
    if (plugins == conf->end() || !plugins->is_array() || plugins->empty())
        return fail(Code::invalid_argument, "plugins: not a list with at least one plugin");
    for (const auto& plugin : *plugins)
        if (!plugin.is_object() || type_of(plugin).empty())
            return fail(Code::invalid_argument, "plugins: an element has no type");
    return conf;
}

void offer_capabilities(Json& plugin) {
    auto& capabilities = plugin["capabilities"];
    if (!capabilities.is_object()) capabilities = Json::object();
    for (const char* const name : {"bandwidth", "io.kubernetes.cri.pod-annotations"}) capabilities[name] = true;
}

// The version that a runtime uses: the highest of those that the list offers.
Result<void> check_version(const Json& list) {
    constexpr std::array spoken = {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};
    std::vector<Json> offered;
    if (const auto it = list.find("cniVersion"); it != list.end()) offered.push_back(*it);
    if (const auto it = list.find("cniVersions"); it != list.end() && it->is_array())
        offered.insert(offered.end(), it->begin(), it->end());
    std::array<int, 3> highest{0, 1, 0};  // what no version means
    for (const auto& each : offered) {
        std::array<int, 3> version{};
        const auto text = each.is_string() ? each.get<std::string>() : std::string();
        if (std::sscanf(text.c_str(), "%d.%d.%d", &version[0], &version[1], &version[2]) != 3)
            return fail(Code::invalid_argument, "cniVersion: ", each.dump(), " is not a version");
        highest = std::max(highest, version);
    }
    const auto text = concat(highest[0], ".", highest[1], ".", highest[2]);
    if (std::find(spoken.begin(), spoken.end(), text) != spoken.end()) return {};
    return fail(Code::invalid_argument, "cniVersion: natra does not speak ", text);
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
    if (const auto found = find_type(plugins, stock); found != plugins.end()) {
        (*found)["type"] = ours;
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

Result<std::vector<std::string>> plugin_types(std::string_view text, Format format) {
    auto list = parse_list(text, format);
    if (!list) return list.error();
    std::vector<std::string> out;
    for (const auto& plugin : (*list)["plugins"]) out.push_back(type_of(plugin));
    return out;
}

}  // namespace natra::chain
