// SPDX-License-Identifier: Apache-2.0
#include "cni-shim/environment.hpp"

#include <algorithm>
#include <map>
#include <vector>

#include "cni-shim/cni.hpp"
#include "daemon/util/utf8.hpp"

namespace natra::shim {
namespace {

constexpr std::size_t max_interface_bytes = 15;

struct Command {
    Verb verb;
    std::vector<const char*> needs;
};

const std::map<std::string_view, Command>& commands() {
    static const std::map<std::string_view, Command> table = {
        {"ADD", {Verb::add, {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"}}},
        {"CHECK", {Verb::check, {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"}}},
        {"DEL", {Verb::del, {"CNI_CONTAINERID", "CNI_IFNAME"}}},
        {"GC", {Verb::gc, {"CNI_PATH"}}},
        {"STATUS", {Verb::status, {}}},
        {"VERSION", {Verb::version, {}}},
    };
    return table;
}

CniError invalid(std::string message, std::string details = "") {
    return {CniCode::invalid_environment, std::move(message), std::move(details)};
}

std::string get(const GetVariable& variable, const char* name) {
    const char* const value = variable(name);
    return value == nullptr ? "" : value;
}

CniResult<void> check_container_id(const std::string& id) {
    if (!is_cni_name(id)) return invalid("invalid characters in containerID", id);
    return {};
}

bool forbidden_in_interface(char c) { return c == '/' || c == ':' || c == ' ' || (c >= '\t' && c <= '\r'); }

CniResult<void> check_interface(const std::string& name) {
    if (name.size() > max_interface_bytes)
        return invalid("interface name is too long", "interface name should be less than 16 characters");
    if (name == "." || name == "..") return invalid("interface name is . or ..");
    if (std::any_of(name.begin(), name.end(), forbidden_in_interface))
        return invalid("interface name contains / or : or whitespace characters");
    if (!is_utf8(name)) return invalid("CNI_IFNAME is not valid UTF-8", name);
    return {};
}

// "K=V;K=V". Pairs that are not ours may look like anything.
void read_arguments(std::string_view text, Environment& out) {
    const std::pair<std::string_view, std::string*> known[] = {
        {"K8S_POD_NAMESPACE", &out.pod_namespace}, {"K8S_POD_NAME", &out.pod_name}, {"K8S_POD_UID", &out.pod_uid}};
    while (!text.empty()) {
        const auto pair = text.substr(0, text.find(';'));
        text.remove_prefix(std::min(text.size(), pair.size() + 1));
        const auto equals = pair.find('=');
        if (equals == std::string_view::npos) continue;
        for (const auto& [key, value] : known)
            if (pair.substr(0, equals) == key) *value = pair.substr(equals + 1);
    }
}

}  // namespace

std::string value_or(const GetVariable& variable, const char* name, const std::string& otherwise) {
    const char* const value = variable(name);
    return value == nullptr || *value == '\0' ? otherwise : value;
}

std::string runtime_directory(const GetVariable& variable) {
    return value_or(variable, "NATRA_RUNTIME_DIR", "/run/natra");
}

std::string command(const GetVariable& variable) { return get(variable, "CNI_COMMAND"); }

CniResult<Environment> parse_environment(const GetVariable& variable) {
    const auto name = command(variable);
    const auto known = commands().find(name);
    if (known == commands().end()) return invalid(concat("unknown CNI_COMMAND: ", name));

    std::string missing;
    for (const char* needed : known->second.needs)
        if (get(variable, needed).empty()) missing += concat(missing.empty() ? "" : ",", needed);
    if (!missing.empty()) return invalid(concat("required env variables [", missing, "] missing"));

    Environment out;
    out.verb = known->second.verb;
    const bool about_one_container = out.verb == Verb::add || out.verb == Verb::check || out.verb == Verb::del;
    if (!about_one_container) return out;
    out.container_id = get(variable, "CNI_CONTAINERID");
    out.netns = get(variable, "CNI_NETNS");
    out.interface = get(variable, "CNI_IFNAME");
    if (auto r = check_container_id(out.container_id); !r) return r.error();
    if (auto r = check_interface(out.interface); !r) return r.error();
    const auto override = get(variable, "CNI_NETNS_OVERRIDE");
    out.own_netns_allowed = override == "1" || key_matches(override, "true");
    const auto arguments = get(variable, "CNI_ARGS");
    if (is_utf8(arguments)) read_arguments(arguments, out);
    // A DEL is about the two names above alone, and nothing else may stop it.
    if (out.verb == Verb::del) return out;
    if (!is_utf8(out.netns)) return invalid("CNI_NETNS is not valid UTF-8", out.netns);
    if (!is_utf8(arguments)) return invalid("CNI_ARGS is not valid UTF-8", arguments);
    return out;
}

bool is_cni_name(std::string_view text) {
    const auto alphanumeric = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    return !text.empty() && alphanumeric(text.front()) && std::all_of(text.begin(), text.end(), [&](char c) {
        return alphanumeric(c) || c == '_' || c == '.' || c == '-';
    });
}

}  // namespace natra::shim
