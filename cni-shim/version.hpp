// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "cni-shim/cni.hpp"

namespace natra::shim {

// Of the CNI specification, oldest first.
inline constexpr std::array<std::string_view, 5> supported_versions = {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};

enum class Verb { add, del, check, gc, status, version };

// May this verb be called for a configuration of that version? Code 1 with the Go library's
// texts if not, code 6 if the text is no version at all.
CniResult<void> check_version(Verb verb, std::string_view version);

// Results of both versions have the same form. False for versions that are not supported.
bool same_result_form(std::string_view a, std::string_view b);
// The versions whose results have the form of `version`: "0.3.0 0.3.1 0.4.0"; "" if it is not supported.
std::string_view versions_of_form(std::string_view version);

// The answer to VERSION.
std::string version_reply();
// For a person who runs the plugin by hand.
std::string about();

}  // namespace natra::shim
