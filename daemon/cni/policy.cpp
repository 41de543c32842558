// SPDX-License-Identifier: Apache-2.0
#include "daemon/cni/policy.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace natra::cni {
namespace {

CniError wrong(std::string_view field, std::string_view expected, const Json& found) {
    return {CniCode::invalid_configuration, concat(field, ": expected ", expected, ", got ", describe(found)), ""};
}

constexpr std::uint64_t max_timeout_ms = 60'000;

// `out` says whether the value was `on`; the other one is `off`.
CniResult<void> read_choice(const Json& document, std::string_view field, std::string_view on, std::string_view off,
                            bool& out) {
    const Json* const value = find_key(document, field);
    if (value == nullptr) return {};
    if (*value != on && *value != off) return wrong(field, concat("\"", on, "\" or \"", off, "\""), *value);
    out = *value == on;
    return {};
}

CniResult<void> read_switch(const Json& document, std::string_view field, bool& out) {
    const Json* const value = find_key(document, field);
    if (value == nullptr) return {};
    if (!value->is_boolean()) return wrong(field, "true or false", *value);
    out = value->get<bool>();
    return {};
}

struct DataPathKey {
    std::string_view field;
    std::vector<std::string_view> allowed;
    std::string Policy::*into;
};

CniResult<void> read_data_path(const Json& document, Policy& out) {
    static const DataPathKey keys[] = {{"attachMode", {"auto", "tcx", "clsact"}, &Policy::attach_mode},
                                       {"edtPacing", {"auto", "on", "off"}, &Policy::edt_pacing},
                                       {"shaper", {"auto", "edt", "htb", "police"}, &Policy::shaper}};
    for (const auto& key : keys) {
        const Json* const value = find_key(document, key.field);
        if (value == nullptr) continue;
        std::string expected;
        for (const auto& name : key.allowed) {
            if (*value == name) out.*key.into = name;
            expected += concat(expected.empty() ? "" : name == key.allowed.back() ? " or " : ", ", "\"", name, "\"");
        }
        if (*value != out.*key.into) return wrong(key.field, expected, *value);
    }
    const bool contradiction = (out.edt_pacing == "on" && out.shaper != "auto" && out.shaper != "edt") ||
                               (out.edt_pacing == "off" && out.shaper == "edt");
    if (!contradiction) return {};
    return CniError{CniCode::invalid_configuration, "edtPacing contradicts shaper",
                    concat("edtPacing is \"", out.edt_pacing, "\", shaper is \"", out.shaper, "\"")};
}

CniResult<void> read_timeout(const Json& document, std::chrono::milliseconds& out) {
    const Json* const value = find_key(document, "timeoutMs");
    if (value == nullptr) return {};
    const auto number = value->is_number_unsigned() ? value->get<std::uint64_t>() : 0;
    if (number == 0 || number > max_timeout_ms)
        return wrong("timeoutMs", concat("an integer from 1 to ", max_timeout_ms), *value);
    out = std::chrono::milliseconds(number);
    return {};
}

}  // namespace

CniResult<Policy> read_policy(const Json& document) {
    Policy out;
    if (auto r = read_choice(document, "failurePolicy", "open", "closed", out.fail_open); !r) return r.error();
    if (auto r = read_choice(document, "burstPolicy", "runtime", "default", out.runtime_bursts); !r) return r.error();
    if (auto r = read_switch(document, "strictInterfaces", out.strict_interfaces); !r) return r.error();
    if (auto r = read_data_path(document, out); !r) return r.error();
    if (auto r = read_timeout(document, out.timeout); !r) return r.error();
    return out;
}

Policy read_policy_leniently(const Json& document) {
    Policy out;
    (void)read_choice(document, "failurePolicy", "open", "closed", out.fail_open);
    (void)read_choice(document, "burstPolicy", "runtime", "default", out.runtime_bursts);
    (void)read_switch(document, "strictInterfaces", out.strict_interfaces);
    (void)read_timeout(document, out.timeout);
    return out;
}

}  // namespace natra::cni
