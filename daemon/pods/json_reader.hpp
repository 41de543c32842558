// SPDX-License-Identifier: Apache-2.0
// Reads the fields of a JSON object, each with its type and range. Errors are
// exceptions (std::invalid_argument) that name the field's path and the value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "daemon/cni/json_text.hpp"

namespace natra::pods {

class JsonReader {
public:
    // path: of the object, for errors; empty for a document. The object must outlive the reader.
    explicit JsonReader(const cni::Json& object, std::string path = "");

    // Null counts as a value.
    [[nodiscard]] bool has(const char* key) const { return object_.contains(key); }
    [[nodiscard]] bool is_null(const char* key) const { return at(key).is_null(); }

    // Fields that must be there.
    [[nodiscard]] std::string text(const char* key) const;
    [[nodiscard]] bool flag(const char* key) const;
    [[nodiscard]] std::uint64_t number(const char* key, std::uint64_t least, std::uint64_t most) const;
    [[nodiscard]] JsonReader object(const char* key) const;

    // The fallback where the field is absent.
    [[nodiscard]] std::string text(const char* key, const std::string& fallback) const;
    [[nodiscard]] bool flag(const char* key, bool fallback) const;
    [[nodiscard]] std::uint64_t number(const char* key, std::uint64_t least, std::uint64_t most,
                                       std::uint64_t fallback) const;
    // Empty where the field is absent.
    [[nodiscard]] std::vector<std::string> texts(const char* key) const;

    [[nodiscard]] const cni::Json& value() const { return object_; }
    // "kernel.egress.shaper"
    [[nodiscard]] std::string path_of(const char* key) const;
    // Throws: the field has a value that is not `expected`.
    [[noreturn]] void refuse(const char* key, const std::string& expected) const;

private:
    [[nodiscard]] const cni::Json& at(const char* key) const;

    const cni::Json& object_;
    std::string path_;
};

}  // namespace natra::pods
