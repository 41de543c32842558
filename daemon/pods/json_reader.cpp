// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/json_reader.hpp"

#include <stdexcept>
#include <utility>

namespace natra::pods {

JsonReader::JsonReader(const cni::Json& object, std::string path) : object_(object), path_(std::move(path)) {
    if (object_.is_object()) return;
    throw std::invalid_argument(
        concat(path_.empty() ? "the document" : path_, ": ", cni::describe(object_), " is not an object"));
}

std::string JsonReader::path_of(const char* key) const { return path_.empty() ? key : concat(path_, ".", key); }

const cni::Json& JsonReader::at(const char* key) const {
    const auto found = object_.find(key);
    if (found == object_.end()) throw std::invalid_argument(concat(path_of(key), ": is missing"));
    return *found;
}

void JsonReader::refuse(const char* key, const std::string& expected) const {
    throw std::invalid_argument(concat(path_of(key), ": ", cni::describe(at(key)), " is not ", expected));
}

std::string JsonReader::text(const char* key) const {
    if (!at(key).is_string()) refuse(key, "a string");
    return at(key).get<std::string>();
}

bool JsonReader::flag(const char* key) const {
    if (!at(key).is_boolean()) refuse(key, "true or false");
    return at(key).get<bool>();
}

// The parser makes a float of what has a fraction, an exponent or no room in 64 bits.
std::uint64_t JsonReader::number(const char* key, std::uint64_t least, std::uint64_t most) const {
    const auto& value = at(key);
    const bool fits =
        value.is_number_unsigned() && value.get<std::uint64_t>() >= least && value.get<std::uint64_t>() <= most;
    if (!fits) refuse(key, concat("an integer from ", least, " to ", most));
    return value.get<std::uint64_t>();
}

JsonReader JsonReader::object(const char* key) const { return JsonReader(at(key), path_of(key)); }

std::string JsonReader::text(const char* key, const std::string& fallback) const {
    return has(key) ? text(key) : fallback;
}

bool JsonReader::flag(const char* key, bool fallback) const { return has(key) ? flag(key) : fallback; }

std::uint64_t JsonReader::number(const char* key, std::uint64_t least, std::uint64_t most,
                                 std::uint64_t fallback) const {
    return has(key) ? number(key, least, most) : fallback;
}

std::vector<std::string> JsonReader::texts(const char* key) const {
    std::vector<std::string> out;
    if (!has(key)) return out;
    const auto& list = at(key);
    if (!list.is_array()) refuse(key, "a list of strings");
    for (const auto& each : list) {
        if (!each.is_string()) refuse(key, "a list of strings");
        out.push_back(each.get<std::string>());
    }
    return out;
}

}  // namespace natra::pods
