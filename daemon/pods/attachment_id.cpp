// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/attachment_id.hpp"

#include <algorithm>

#include "daemon/pods/digest.hpp"
#include "daemon/util/error.hpp"

namespace natra::pods {
namespace {

bool alphanumeric(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

void escape(std::string& out, std::string_view text) {
    constexpr std::string_view hex = "0123456789abcdef";
    for (const char c : text) {
        if (alphanumeric(c)) {
            out += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        out += '_';
        out += hex[byte >> 4];
        out += hex[byte & 0xf];
    }
}

}  // namespace

std::string attachment_id(std::string_view container_id, std::string_view interface_name) {
    // A file name has 255 bytes: 45 of them are for the interface, others for what is put behind the id.
    constexpr std::size_t longest = 180;
    constexpr std::size_t kept = 100;
    constexpr std::size_t digits = 64;
    std::string out;
    escape(out, container_id);
    // No escaping makes a "_z".
    if (out.size() > longest)
        out = concat(std::string_view(out).substr(0, kept), "_z", sha512_hex(container_id).substr(0, digits));
    out += "__";
    escape(out, interface_name);
    return out;
}

bool valid_container_id(std::string_view id) {
    return !id.empty() && alphanumeric(id.front()) && std::all_of(id.begin(), id.end(), [](char c) {
        return alphanumeric(c) || c == '_' || c == '.' || c == '-';
    });
}

bool valid_interface_name(std::string_view name) {
    return !name.empty() && name.size() <= 15 && name != "." && name != ".." &&
           std::none_of(name.begin(), name.end(), [](char c) {
               return c == '/' || c == ':' || c == ' ' || (c >= '\t' && c <= '\r') || c == '\0';
           });
}

}  // namespace natra::pods
