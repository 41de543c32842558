// SPDX-License-Identifier: Apache-2.0
#include "cni-shim/configuration.hpp"

#include <vector>

#include "cni-shim/environment.hpp"
#include "cni-shim/version.hpp"

namespace natra::shim {
namespace {

constexpr std::string_view no_version = "0.1.0";  // what a configuration without cniVersion means
constexpr std::uint64_t max_timeout_ms = 60'000;

// The last value of a key in any of its spellings; null leaves an earlier one, as in Go.
const Json* find(const Json& object, std::string_view field) {
    const Json* found = nullptr;
    for (const auto& [key, value] : object.items())
        if (key_matches(key, field) && !value.is_null()) found = &value;
    return found;
}

CniError wrong(CniCode code, std::string_view what, std::string_view field, std::string_view expected,
               const Json& found) {
    return {code, concat(what, field, ": expected ", expected, ", got ", describe(found)), ""};
}

CniResult<std::string> read_text(const Json& document, std::string_view field, std::string_view what) {
    const Json* const value = find(document, field);
    if (value == nullptr) return std::string();
    if (!value->is_string()) return wrong(CniCode::decoding_failure, what, field, "a string", *value);
    return value->get<std::string>();
}

// `out` says whether the value was `on`; the other one is `off`.
CniResult<void> read_choice(const Json& document, std::string_view field, std::string_view on, std::string_view off,
                            bool& out) {
    const Json* const value = find(document, field);
    if (value == nullptr) return {};
    if (*value != on && *value != off)
        return wrong(CniCode::invalid_configuration, "", field, concat("\"", on, "\" or \"", off, "\""), *value);
    out = *value == on;
    return {};
}

CniResult<void> read_switch(const Json& document, std::string_view field, bool& out) {
    const Json* const value = find(document, field);
    if (value == nullptr) return {};
    if (!value->is_boolean()) return wrong(CniCode::invalid_configuration, "", field, "true or false", *value);
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
        const Json* const value = find(document, key.field);
        if (value == nullptr) continue;
        std::string expected;
        for (const auto& name : key.allowed) {
            if (*value == name) out.*key.into = name;
            expected += concat(expected.empty() ? "" : name == key.allowed.back() ? " or " : ", ", "\"", name, "\"");
        }
        if (*value != out.*key.into) return wrong(CniCode::invalid_configuration, "", key.field, expected, *value);
    }
    const bool contradiction = (out.edt_pacing == "on" && out.shaper != "auto" && out.shaper != "edt") ||
                               (out.edt_pacing == "off" && out.shaper == "edt");
    if (!contradiction) return {};
    return CniError{CniCode::invalid_configuration, "edtPacing contradicts shaper",
                    concat("edtPacing is \"", out.edt_pacing, "\", shaper is \"", out.shaper, "\"")};
}

CniResult<void> read_timeout(const Json& document, std::chrono::milliseconds& out) {
    const Json* const value = find(document, "timeoutMs");
    if (value == nullptr) return {};
    const auto number = value->is_number_unsigned() ? value->get<std::uint64_t>() : 0;
    if (number == 0 || number > max_timeout_ms)
        return wrong(CniCode::invalid_configuration, "", "timeoutMs", concat("an integer from 1 to ", max_timeout_ms),
                     *value);
    out = std::chrono::milliseconds(number);
    return {};
}

CniError bad_previous_result(std::string_view why) {
    return {CniCode::internal, concat("could not parse prevResult: could not parse prevResult: ", why), ""};
}

}  // namespace

CniResult<Envelope> read_envelope(std::string_view text) {
    constexpr std::string_view undecodable = "error unmarshall network config: ";
    auto document = parse_json(text);
    if (!document) return CniError{CniCode::decoding_failure, concat(undecodable, document.error().what), ""};
    if (!document->is_object())
        return wrong(CniCode::decoding_failure, undecodable, "the configuration", "an object", *document);
    auto name = read_text(*document, "name", undecodable);
    if (!name) return name.error();
    if (name->empty()) return CniError{CniCode::invalid_configuration, "missing network name", ""};
    if (!is_cni_name(*name))
        return CniError{CniCode::invalid_configuration, "invalid characters found in network name", *name};
    auto version = read_text(*document, "cniVersion", "decoding version from network config: ");
    if (!version) return version.error();
    return Envelope{*std::move(name), version->empty() ? std::string(no_version) : *std::move(version),
                    *std::move(document)};
}

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

CniResult<std::optional<Json>> read_previous_result(const Envelope& envelope) {
    const Json* const previous = find(envelope.document, "prevResult");
    if (previous == nullptr) return std::optional<Json>();
    if (!previous->is_object())
        return wrong(CniCode::internal, "failed to parse network configuration: ", "prevResult", "an object",
                     *previous);
    if (const Json* const version = find(*previous, "cniVersion")) {
        if (!version->is_string())
            return bad_previous_result(concat("cniVersion: expected a string, got ", describe(*version)));
        const auto text = version->get<std::string>();
        if (!text.empty() && !same_result_form(text, envelope.version))
            return bad_previous_result(concat("result type supports [", versions_of_form(envelope.version),
                                              "] but unmarshalled CNIVersion is ", describe(*version)));
    }
    return std::optional<Json>(*previous);
}

}  // namespace natra::shim
