// SPDX-License-Identifier: Apache-2.0
#include "cni-shim/valid_attachments.hpp"

namespace natra::shim {
namespace {

CniError wrong(std::string_view path, std::string_view expected, const Json& found) {
    return {CniCode::invalid_configuration, concat(path, ": expected ", expected, ", got ", describe(found)), ""};
}

CniResult<std::string> text_of(const Json& attachment, const std::string& path, std::string_view field) {
    const Json* found = nullptr;
    for (const auto& [key, value] : attachment.items())
        if (key_matches(key, field) && !value.is_null()) found = &value;
    const auto full = concat(path, ".", field);
    if (found == nullptr) return CniError{CniCode::invalid_configuration, concat(full, ": missing"), ""};
    if (!found->is_string()) return wrong(full, "a string", *found);
    auto text = found->get<std::string>();
    // No attachment has such a name, and D-Bus' texts end there.
    if (text.find('\0') != std::string::npos) return wrong(full, "a name", *found);
    return text;
}

CniResult<ValidAttachments> read_list(const Json& list, const std::string& name) {
    ValidAttachments out;
    if (list.is_null()) return out;
    if (!list.is_array()) return wrong(name, "an array", list);
    for (std::size_t i = 0; i < list.size(); ++i) {
        const auto path = concat(name, "[", i, "]");
        if (!list[i].is_object()) return wrong(path, "an object", list[i]);
        auto container_id = text_of(list[i], path, "containerID");
        if (!container_id) return container_id.error();
        auto interface = text_of(list[i], path, "ifname");
        if (!interface) return interface.error();
        out.emplace_back(*std::move(container_id), *std::move(interface));
    }
    return out;
}

}  // namespace

CniResult<std::optional<ValidAttachments>> read_valid_attachments(const Json& document) {
    // libcni sends the list under both names; the last one looked at wins.
    std::optional<ValidAttachments> out;
    for (const std::string name : {"cni.dev/attachments", "cni.dev/valid-attachments"})
        for (const auto& [key, value] : document.items()) {
            if (!key_matches(key, name)) continue;
            auto list = read_list(value, name);
            if (!list) return list.error();
            out = *std::move(list);
        }
    return out;
}

}  // namespace natra::shim
