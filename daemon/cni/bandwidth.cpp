// SPDX-License-Identifier: Apache-2.0
#include "daemon/cni/bandwidth.hpp"

#include <initializer_list>
#include <optional>
#include <string>

namespace natra::cni {
namespace {

using limits::Limit;
using limits::Limits;

// Takes the limits among the keys of `object`; `out` stays empty when there is none.
CniResult<void> read_keys(const Json& object, const std::string& prefix, std::optional<Limits>& out) {
    for (const auto& [key, value] : object.items()) {
        Limits found = out.value_or(Limits{});
        const std::pair<std::string_view, std::uint64_t*> fields[] = {{"ingressRate", &found.ingress.rate_bps},
                                                                      {"ingressBurst", &found.ingress.burst_bits},
                                                                      {"egressRate", &found.egress.rate_bps},
                                                                      {"egressBurst", &found.egress.burst_bits}};
        for (const auto& [field, number] : fields) {
            if (!key_matches(key, field)) continue;
            if (!value.is_null() && !value.is_number_unsigned())
                return wrong_type(prefix + key, "a non-negative integer below 2^64", value);
            if (!value.is_null()) *number = value.get<std::uint64_t>();
            out = found;
        }
    }
    return {};
}

// Several spellings of "bandwidth" fill one object, as in Go.
CniResult<void> read_runtime_config(const Json& runtime_config, const std::string& name, std::optional<Limits>& out) {
    if (runtime_config.is_null()) return {};
    if (!runtime_config.is_object()) return wrong_type(name, "an object", runtime_config);
    for (const auto& [key, value] : runtime_config.items()) {
        if (!key_matches(key, "bandwidth")) continue;
        const auto path = concat(name, ".", key);
        if (value.is_null()) {
            out.reset();
            continue;
        }
        if (!value.is_object()) return wrong_type(path, "an object", value);
        if (auto r = read_keys(value, path + ".", out); !r) return r;
    }
    return {};
}

CniResult<void> validate(std::string_view direction, const Limit& limit) {
    const auto r = limits::validate_pair(limit.rate_bps, limit.burst_bits);
    if (r) return {};
    return CniError{CniCode::internal, r.error().what,
                    concat(direction, "Rate is ", limit.rate_bps, ", ", direction, "Burst is ", limit.burst_bits)};
}

bool has_key(const Json& configuration, std::initializer_list<std::string_view> fields) {
    for (const auto& [key, value] : configuration.items())
        for (const auto field : fields)
            if (key_matches(key, field)) return true;
    return false;
}

}  // namespace

bool has_static_limits(const Json& configuration) {
    return has_key(configuration, {"ingressRate", "ingressBurst", "egressRate", "egressBurst"});
}

CniResult<limits::Limits> read_limits(const Json& configuration) {
    std::optional<Limits> from_conf;
    std::optional<Limits> from_runtime;
    if (auto r = read_keys(configuration, "", from_conf); !r) return r.error();
    for (const auto& [key, value] : configuration.items())
        if (key_matches(key, "runtimeConfig"))
            if (auto r = read_runtime_config(value, key, from_runtime); !r) return r.error();

    Limits out = from_conf ? *from_conf : from_runtime.value_or(Limits{});
    const auto source = from_conf ? limits::Source::conf : limits::Source::runtime;
    if (auto r = validate("ingress", out.ingress); !r) return r.error();
    if (auto r = validate("egress", out.egress); !r) return r.error();
    if (out.ingress.limited()) out.ingress.source = source;
    if (out.egress.limited()) out.egress.source = source;
    // A static 0 is a word of the configuration's.
    if (has_key(configuration, {"ingressRate", "ingressBurst"})) out.ingress.source = limits::Source::conf;
    if (has_key(configuration, {"egressRate", "egressBurst"})) out.egress.source = limits::Source::conf;
    return out;
}

}  // namespace natra::cni
