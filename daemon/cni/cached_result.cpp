// SPDX-License-Identifier: Apache-2.0
#include "daemon/cni/cached_result.hpp"

#include <algorithm>
#include <utility>

#include "daemon/cni/base64.hpp"
#include "daemon/cni/libcni_numbers.hpp"
#include "daemon/cni/previous_result.hpp"

namespace natra::cni {
namespace {

using Code = Error::Code;

constexpr const char* kind_of_form = "cniCacheV1";

Error wrong(std::string_view field, std::string_view expected, const Json* found) {
    return fail(Code::invalid_argument, field, ": expected ", expected, ", got ",
                found == nullptr ? "nothing" : describe(*found));
}

Result<std::string> text_of(const Json& object, std::string_view field) {
    const auto* const value = find_key(object, field);
    if (value == nullptr || !value->is_string() || value->get_ref<const std::string&>().empty())
        return wrong(field, "a text", value);
    const auto text = value->get<std::string>();
    // What becomes paths and D-Bus texts ends at a NUL.
    if (text.find('\0') != std::string::npos) return wrong(field, "a text without NUL", value);
    return text;
}

std::string text_or_nothing(const Json& object, std::string_view field) {
    auto text = text_of(object, field);
    return text ? *std::move(text) : std::string();
}

Json object_or_nothing(const Json& object, std::string_view field) {
    const auto* const value = find_key(object, field);
    return value != nullptr && value->is_object() ? *value : Json::object();
}

// As libcni gives a plugin what the runtime offers and it declares to take.
Json with_runtime_config(Json plugin, const Json& offered) {
    auto taken = Json::object();
    if (const auto* const capabilities = find_key(plugin, "capabilities");
        capabilities != nullptr && capabilities->is_object())
        for (const auto& [name, wanted] : capabilities->items())
            if (wanted == true && offered.contains(name)) taken[name] = offered[name];
    if (!taken.empty()) plugin["runtimeConfig"] = std::move(taken);
    return plugin;
}

// The plugins of a list, or the only one of a single configuration.
Result<std::vector<Json>> read_plugins(const Json& entry, const Json& offered) {
    const auto encoded = text_of(entry, "config");
    if (!encoded) return encoded.error();
    const auto text = decode_base64(*encoded);
    if (!text) return fail(Code::invalid_argument, "config: not in base64");
    const auto config = parse_json(*text);
    if (!config) return fail(Code::invalid_argument, "config: ", config.error().what);
    if (!config->is_object()) return wrong("config", "an object", &*config);
    const auto* const list = find_key(*config, "plugins");
    if (list == nullptr) return std::vector{with_runtime_config(with_libcni_numbers(*config), offered)};
    if (!list->is_array()) return wrong("config.plugins", "an array", list);
    std::vector<Json> plugins;
    for (const auto& plugin : *list) {
        if (!plugin.is_object()) return wrong("config.plugins", "objects", &plugin);
        plugins.push_back(with_runtime_config(with_libcni_numbers(plugin), offered));
    }
    return plugins;
}

// A list of pairs, as Go writes it.
void read_arguments(const Json& entry, Identity& out) {
    const std::pair<std::string_view, std::string*> known[] = {
        {"K8S_POD_NAMESPACE", &out.pod_namespace}, {"K8S_POD_NAME", &out.pod_name}, {"K8S_POD_UID", &out.pod_uid}};
    const auto* const pairs = find_key(entry, "cniArgs");
    if (pairs == nullptr || !pairs->is_array()) return;
    for (const auto& pair : *pairs) {
        if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string()) continue;
        for (const auto& [key, value] : known)
            if (pair[0].get_ref<const std::string&>() == key) *value = pair[1].get<std::string>();
    }
}

// The container's interface among those of the result; null if it is not there.
const Json* interface_inside(const Json& result, const std::string& name) {
    const auto* const list = find_key(result, "interfaces");
    if (list == nullptr || !list->is_array()) return nullptr;
    const auto found = std::find_if(list->begin(), list->end(), [&](const Json& each) {
        return each.is_object() && text_or_nothing(each, "name") == name && !text_or_nothing(each, "sandbox").empty();
    });
    return found == list->end() ? nullptr : &*found;
}

const Json* plugin_of_type(const CachedResult& cached, std::string_view type) {
    const auto found = std::find_if(cached.plugins.begin(), cached.plugins.end(),
                                    [&](const Json& each) { return text_or_nothing(each, "type") == type; });
    return found == cached.plugins.end() ? nullptr : &*found;
}

Error plain(const CniError& error) {
    return fail(Code::invalid_argument, error.message, error.details.empty() ? "" : " (", error.details,
                error.details.empty() ? "" : ")");
}

}  // namespace

Result<CachedResult> read_cached_result(std::string_view text) {
    const auto entry = parse_json(text);
    if (!entry) return entry.error();
    if (!entry->is_object()) return wrong("the entry", "an object", &*entry);
    const auto* const kind = find_key(*entry, "kind");
    if (kind == nullptr || *kind != kind_of_form) return wrong("kind", kind_of_form, kind);
    CachedResult out;
    for (const auto& [field, into] :
         {std::pair("containerId", &out.identity.container_id), std::pair("ifName", &out.identity.interface),
          std::pair("networkName", &out.identity.network)}) {
        auto value = text_of(*entry, field);
        if (!value) return value.error();
        *into = *std::move(value);
    }
    out.capability_arguments = object_or_nothing(*entry, "capabilityArgs");
    auto plugins = read_plugins(*entry, out.capability_arguments);
    if (!plugins) return plugins.error();
    out.plugins = *std::move(plugins);
    out.result = object_or_nothing(*entry, "result");
    read_arguments(*entry, out.identity);
    out.identity.netns_path = text_or_nothing(*entry, "netns");
    if (const auto* const inside = interface_inside(out.result, out.identity.interface)) {
        out.mac = text_or_nothing(*inside, "mac");
        if (out.identity.netns_path.empty()) out.identity.netns_path = text_or_nothing(*inside, "sandbox");
    }
    return out;
}

Result<RunningPod> running_pod(const CachedResult& cached) {
    RunningPod out{.mac = cached.mac};
    Json configuration{{"capabilities", {{"bandwidth", true}, {"io.kubernetes.cri.pod-annotations", true}}}};
    if (const auto* const natra = plugin_of_type(cached, "natra")) {
        out.by = LimitedBy::natra;
        configuration = *natra;
    } else if (const auto* const stock = plugin_of_type(cached, "bandwidth")) {
        out.by = LimitedBy::stock;
        configuration = *stock;
    } else {
        configuration = with_runtime_config(std::move(configuration), cached.capability_arguments);
    }
    auto wanted = read_wanted(configuration);
    if (!wanted) return plain(wanted.error());
    auto hosts = host_interfaces(cached.result);
    if (!hosts) return plain(hosts.error());
    out.problems = wanted->problems;
    out.request = make_request(cached.identity, *std::move(wanted), *std::move(hosts));
    return out;
}

}  // namespace natra::cni
