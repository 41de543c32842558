// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace natra::pods {

// The name of an attachment in D-Bus paths, pins and state files: characters
// [A-Za-z0-9_] only, one-to-one with (container ID, interface name). Other
// characters become "_" and two hex digits; "__" separates the two parts. A container
// ID that would not fit a file name is cut, "_z" and a part of its SHA-512 behind it.
std::string attachment_id(std::string_view container_id, std::string_view interface_name);

// CNI's rules, which have no maximum: ^[a-zA-Z0-9][a-zA-Z0-9_.\-]*$
bool valid_container_id(std::string_view id);
// 1..15 characters, not "." or "..", no '/', ':' or space.
bool valid_interface_name(std::string_view name);

}  // namespace natra::pods
