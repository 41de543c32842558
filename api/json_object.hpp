// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

namespace natra::api {

using Json = nlohmann::ordered_json;

struct Member {
    std::string_view name;
    mutable Json value;  // moved out of the list, whose elements are const
};

// {"a": 1, "b": 2} of {{"a", 1}, {"b", 2}}, as Json's own lists of members make it, in a quarter of the time: those
// make an array of arrays first, and look for each name among those before it. Names must be different ones.
inline Json object(std::initializer_list<Member> members) {
    Json::object_t out;
    out.reserve(members.size());
    for (const auto& member : members) out.emplace_back(member.name, std::move(member.value));
    return out;
}

}  // namespace natra::api
