// SPDX-License-Identifier: Apache-2.0
#include "daemon/chain/network.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <optional>

#include "daemon/chain/cni_version.hpp"

namespace natra::chain {
namespace {

using Code = Error::Code;

Error wrong(std::string_view field, std::string_view expected, const Json& found) {
    return fail(Code::invalid_argument, field, ": expected ", expected, ", got ",
                found.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 80));
}

// libcni's PluginConf.
const Check& plugin_check() {
    static const Check check =
        expect_struct({{"cniVersion", expect_text},
                       {"name", expect_text},
                       {"type", expect_text},
                       {"capabilities", expect_map_of(expect_flag)},
                       {"ipam", expect_struct({{"type", expect_text}})},
                       {"dns", expect_struct({{"nameservers", expect_list_of(expect_text)},
                                              {"domain", expect_text},
                                              {"search", expect_list_of(expect_text)},
                                              {"options", expect_list_of(expect_text)}})},
                       {"prevResult", expect_map_of([](const Json&) { return std::string(); })},
                       {"cni.dev/valid-attachments",
                        expect_list_of(expect_struct({{"containerID", expect_text}, {"ifname", expect_text}}))}});
    return check;
}

// The last of a field's spellings in the file.
std::string text_in(const Json& plugin, std::string_view field) {
    std::string out;
    for (const auto& [key, value] : plugin.items())
        if (names_field(key, field) && value.is_string()) out = value.get<std::string>();
    return out;
}

Result<void> check_plugin(const Json& plugin) {
    if (auto expected = plugin_check()(plugin); !expected.empty())
        return fail(Code::invalid_argument, "a plugin: expected ", expected);
    return {};
}

Result<std::optional<bool>> read_flag(const Json& list, const char* key) {
    const auto found = list.find(key);
    if (found == list.end()) return std::optional<bool>();
    if (found->is_boolean()) return std::optional(found->get<bool>());
    auto text = found->is_string() ? found->get<std::string>() : std::string();
    for (auto& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (text != "true" && text != "false") return wrong(key, "true or false", *found);
    return std::optional(text == "true");
}

Result<std::string> read_version(const Json& list) {
    std::string version;
    if (const auto found = list.find("cniVersion"); found != list.end()) {
        if (!found->is_string()) return wrong("cniVersion", "a text", *found);
        version = found->get<std::string>();
    }
    const auto several = list.find("cniVersions");
    if (several == list.end()) return version;
    if (!several->is_array()) return wrong("cniVersions", "a list", *several);
    std::vector<std::string> offered;
    for (const auto& each : *several) {
        if (!each.is_string()) return wrong("cniVersions", "texts", each);
        offered.push_back(each.get<std::string>());
    }
    if (!version.empty()) offered.push_back(version);
    std::optional<CniVersion> highest;
    for (const auto& each : offered) {
        const auto parsed = parse_cni_version(each);
        if (!parsed) return parsed.error();
        if (*parsed > libcni_version || (highest && *parsed < *highest)) continue;
        highest = *parsed;
        version = each;
    }
    return version;
}

Result<std::vector<Plugin>> read_inline(const Json& list, bool required) {
    std::vector<Plugin> out;
    const auto plugins = list.find("plugins");
    if (plugins == list.end() && required)
        return fail(Code::invalid_argument, "plugins: missing, with loadOnlyInlinedPlugins");
    if (plugins == list.end()) return out;
    if (!plugins->is_array() || plugins->empty()) return wrong("plugins", "a list with at least one plugin", *plugins);
    for (const auto& plugin : *plugins) {
        if (auto r = check_plugin(plugin); !r) return r.error();
        auto type = type_of(plugin);
        if (type.empty()) return fail(Code::invalid_argument, "plugins: an element has no type");
        out.push_back({.type = std::move(type), .path = {}});
    }
    return out;
}

Result<Network> parse_list(const Json& list) {
    if (!list.is_object()) return fail(Code::invalid_argument, "not a JSON object");
    Network out;
    const auto name = list.find("name");
    if (name == list.end() || !name->is_string()) return wrong("name", "a text", name == list.end() ? Json() : *name);
    out.name = name->get<std::string>();
    auto version = read_version(list);
    if (!version) return version.error();
    out.version = *std::move(version);
    for (const char* const key : {"disableCheck", "disableGC"})
        if (auto r = read_flag(list, key); !r) return r.error();
    const auto only_inlined = read_flag(list, "loadOnlyInlinedPlugins");
    if (!only_inlined) return only_inlined.error();
    out.only_inlined = only_inlined->value_or(false);
    auto plugins = read_inline(list, out.only_inlined);
    if (!plugins) return plugins.error();
    out.plugins = *std::move(plugins);
    return out;
}

Result<Network> parse_single(const Json& plugin) {
    if (!plugin.is_object()) return fail(Code::invalid_argument, "not a JSON object");
    if (auto r = check_plugin(plugin); !r) return r.error();
    auto type = type_of(plugin);
    if (type.empty()) return fail(Code::invalid_argument, "type: missing");
    return Network{.name = text_in(plugin, "name"),
                   .version = text_in(plugin, "cniVersion"),
                   .only_inlined = true,
                   .plugins = {{.type = std::move(type), .path = {}}}};
}

// Any file of the folder that libcni cannot take refuses the network.
Result<void> add_plugins_of_folder(const std::string& path, Network& network) {
    if (network.name.find('\0') != std::string::npos) return fail(Code::invalid_argument, "name: a NUL");
    const auto joined = std::filesystem::path(path).parent_path() / ("./" + network.name);
    auto folder = joined.lexically_normal().string();
    while (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
    const auto files = conf_files(folder, {".conf"});
    if (!files) return files.error();
    for (const auto& file : *files) {
        const auto text = read_conf(file);
        if (!text) return text.error();
        const auto plugin = parse_as_go(*text);
        if (!plugin) return fail(plugin.error().code, file, ": ", plugin.error().what);
        if (auto r = check_plugin(*plugin); !r) return fail(r.error().code, file, ": ", r.error().what);
        auto type = plugin->is_object() ? text_in(*plugin, "type") : std::string();
        if (type.empty()) return fail(Code::invalid_argument, file, ": no type");
        network.plugins.push_back({.type = std::move(type), .path = file});
    }
    return {};
}

}  // namespace

// libcni sorts an inline plugin's keys before it reads them, and the last spelling counts.
std::string type_of(const Json& plugin) {
    if (!plugin.is_object()) return "";
    std::map<std::string, std::string> spellings;
    for (const auto& [key, value] : plugin.items())
        if (names_field(key, "type") && value.is_string()) spellings[key] = value.get<std::string>();
    return spellings.empty() ? "" : spellings.rbegin()->second;
}

Result<Network> parse_network(std::string_view text, Format format) {
    const auto document = parse_as_go(text);
    if (!document) return document.error();
    return format == Format::single ? parse_single(*document) : parse_list(*document);
}

Result<Network> load_network(const std::string& path, std::string_view text, Format format) {
    auto network = parse_network(text, format);
    if (!network || network->only_inlined) return network;
    if (auto r = add_plugins_of_folder(path, *network); !r) return r.error();
    if (network->plugins.empty()) return fail(Code::invalid_argument, "plugins: none");
    return network;
}

}  // namespace natra::chain
