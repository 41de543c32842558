// SPDX-License-Identifier: Apache-2.0
#include "daemon/cni/subnets.hpp"

namespace natra::cni {
namespace {

struct Lists {
    std::vector<std::string> shaped;
    std::vector<std::string> unshaped;
};

CniResult<void> read_list(const Json& value, const std::string& path, std::vector<std::string>& out) {
    if (value.is_null()) return {};
    if (!value.is_array()) return wrong_type(path, "an array", value);
    out.clear();
    for (std::size_t i = 0; i < value.size(); ++i) {
        if (!value[i].is_string()) return wrong_type(concat(path, "[", i, "]"), "a string", value[i]);
        out.push_back(value[i].get<std::string>());
    }
    return {};
}

CniResult<void> read_lists(const Json& object, const std::string& prefix, Lists& out) {
    for (const auto& [key, value] : object.items()) {
        if (key_matches(key, "shapedSubnets"))
            if (auto r = read_list(value, prefix + key, out.shaped); !r) return r;
        if (key_matches(key, "unshapedSubnets"))
            if (auto r = read_list(value, prefix + key, out.unshaped); !r) return r;
    }
    return {};
}

// Of another type, they are an error of read_limits().
CniResult<void> read_runtime_lists(const Json& configuration, Lists& out) {
    for (const auto& [key, runtime] : configuration.items()) {
        if (!key_matches(key, "runtimeConfig") || !runtime.is_object()) continue;
        for (const auto& [name, bandwidth] : runtime.items())
            if (key_matches(name, "bandwidth") && bandwidth.is_object())
                if (auto r = read_lists(bandwidth, concat(key, ".", name, "."), out); !r) return r;
    }
    return {};
}

}  // namespace

CniResult<limits::SubnetRules> read_subnets(const Json& configuration) {
    Lists lists;
    if (auto r = read_lists(configuration, "", lists); !r) return r.error();
    if (lists.shaped.empty() && lists.unshaped.empty())
        if (auto r = read_runtime_lists(configuration, lists); !r) return r.error();
    auto rules = limits::parse_subnet_rules(lists.shaped, lists.unshaped);
    if (!rules) return CniError{CniCode::internal, rules.error().what, ""};
    return *std::move(rules);
}

}  // namespace natra::cni
