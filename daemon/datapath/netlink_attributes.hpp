// SPDX-License-Identifier: Apache-2.0
// libmnl's attribute loops, whose macros are C only.
#pragma once

#include <libmnl/libmnl.h>

#include <cstddef>

namespace natra::datapath {

// The attributes behind a message's fixed part of `offset` bytes.
template <class Visit> void for_each_attribute(const nlmsghdr* header, std::size_t offset, Visit visit) {
    const auto* end = static_cast<const char*>(mnl_nlmsg_get_payload_tail(header));
    const auto* attribute = static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(header, offset));
    for (; mnl_attr_ok(attribute, static_cast<int>(end - reinterpret_cast<const char*>(attribute)));
         attribute = mnl_attr_next(attribute))
        visit(attribute);
}

template <class Visit> void for_each_nested_attribute(const nlattr* nest, Visit visit) {
    const auto* attribute = static_cast<const nlattr*>(mnl_attr_get_payload(nest));
    const auto* end = reinterpret_cast<const char*>(attribute) + mnl_attr_get_payload_len(nest);
    for (; mnl_attr_ok(attribute, static_cast<int>(end - reinterpret_cast<const char*>(attribute)));
         attribute = mnl_attr_next(attribute))
        visit(attribute);
}

}  // namespace natra::datapath
