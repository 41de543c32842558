// SPDX-License-Identifier: Apache-2.0
#include "cni-shim/version.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "cni-shim/cni.hpp"

namespace natra::shim {
namespace {

bool is_supported(std::string_view version) {
    return std::find(supported_versions.begin(), supported_versions.end(), version) != supported_versions.end();
}

using Numbers = std::array<unsigned, 3>;

// "1.0.0", also "1.0" and "1".
std::optional<Numbers> numbers_of(std::string_view version) {
    Numbers out{};
    const char* at = version.data();
    const char* const end = at + version.size();
    for (std::size_t i = 0; i < out.size(); ++i) {
        const auto [next, error] = std::from_chars(at, end, out.at(i));
        if (error != std::errc{}) return std::nullopt;
        if (next == end) return out;
        if (*next != '.') return std::nullopt;
        at = next + 1;
    }
    return std::nullopt;
}

struct Gate {
    std::string_view name;
    Numbers first_version;
};

std::optional<Gate> gate_of(Verb verb) {
    switch (verb) {
    case Verb::check: return Gate{"CHECK", {0, 4, 0}};
    case Verb::gc: return Gate{"GC", {1, 1, 0}};
    case Verb::status: return Gate{"STATUS", {1, 1, 0}};
    default: return std::nullopt;
    }
}

CniResult<void> check_gate(const Gate& gate, std::string_view version) {
    const auto numbers = numbers_of(version);
    if (!numbers)
        return CniError{CniCode::decoding_failure, concat("cniVersion: \"", version, "\" is not a version"), ""};
    if (*numbers < gate.first_version)
        return CniError{CniCode::incompatible_version, concat("config version does not allow ", gate.name), ""};
    if (*numbers > numbers_of(supported_versions.back()))
        return CniError{CniCode::incompatible_version, concat("plugin version does not allow ", gate.name), ""};
    return {};
}

}  // namespace

CniResult<void> check_version(Verb verb, std::string_view version) {
    if (const auto gate = gate_of(verb))
        if (auto r = check_gate(*gate, version); !r) return r;
    if (is_supported(version)) return {};
    std::string details = concat("config is ", Json(version).dump(), ", plugin supports [");
    for (const auto supported : supported_versions)
        details += concat(supported == supported_versions.front() ? "" : " ", "\"", supported, "\"");
    return CniError{CniCode::incompatible_version, "incompatible CNI versions", details + "]"};
}

bool same_result_form(std::string_view a, std::string_view b) {
    return is_supported(a) && versions_of_form(a) == versions_of_form(b);
}

std::string_view versions_of_form(std::string_view version) {
    if (!is_supported(version)) return "";
    return version.starts_with("0.") ? "0.3.0 0.3.1 0.4.0" : "1.0.0 1.1.0";
}

std::string version_reply() {
    Json reply;
    reply["cniVersion"] = supported_versions.back();
    reply["supportedVersions"] = supported_versions;
    return reply.dump() + "\n";
}

std::string about() {
    std::string text = "CNI natra plugin v" NATRA_VERSION "\nCNI protocol versions supported: ";
    for (const auto version : supported_versions)
        text += concat(version == supported_versions.front() ? "" : ", ", version);
    return text + "\n";
}

}  // namespace natra::shim
