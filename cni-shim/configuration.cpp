// SPDX-License-Identifier: Apache-2.0
#include "cni-shim/configuration.hpp"

#include "cni-shim/environment.hpp"
#include "cni-shim/version.hpp"

namespace natra::shim {
namespace {

constexpr std::string_view no_version = "0.1.0";  // what a configuration without cniVersion means

CniError wrong(CniCode code, std::string_view what, std::string_view field, std::string_view expected,
               const Json& found) {
    return {code, concat(what, field, ": expected ", expected, ", got ", describe(found)), ""};
}

CniResult<std::string> read_text(const Json& document, std::string_view field, std::string_view what) {
    const Json* const value = find_key(document, field);
    if (value == nullptr) return std::string();
    if (!value->is_string()) return wrong(CniCode::decoding_failure, what, field, "a string", *value);
    return value->get<std::string>();
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

CniResult<std::optional<Json>> read_previous_result(const Envelope& envelope) {
    const Json* const previous = find_key(envelope.document, "prevResult");
    if (previous == nullptr) return std::optional<Json>();
    if (!previous->is_object())
        return wrong(CniCode::internal, "failed to parse network configuration: ", "prevResult", "an object",
                     *previous);
    if (const Json* const version = find_key(*previous, "cniVersion")) {
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
