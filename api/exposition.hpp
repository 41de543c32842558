// SPDX-License-Identifier: Apache-2.0
// Prometheus' text format, version 0.0.4. Pure.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace natra::api {

using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

// Writes families one after the other; all samples of a family must follow its begin.
class Exposition {
public:
    // type: "counter", "gauge" or "histogram".
    void family(std::string_view name, std::string_view type, std::string_view help);
    // Of the family that was begun last. common: "name=\"value\",..." as labels_text() makes it; may be empty.
    void sample(Labels labels, double value, std::string_view common = {});
    void sample(Labels labels, std::uint64_t value, std::string_view common = {});
    // The same with "_bucket", "_sum" or "_count" behind the name.
    void sample_of(std::string_view suffix, Labels labels, double value, std::string_view common = {});
    void sample_of(std::string_view suffix, Labels labels, std::uint64_t value, std::string_view common = {});

    // A guess at the size that it will have: room in time costs less than room again and again.
    void reserve(std::size_t bytes) { text_.reserve(bytes); }
    [[nodiscard]] std::string take() { return std::move(text_); }
    [[nodiscard]] std::size_t size() const { return text_.size(); }

private:
    void line(std::string_view suffix, std::string_view common, Labels labels, std::string_view value);

    std::string name_;
    std::string text_;
};

// `a="x",b="y"`, escaped; what is no UTF-8 in values is replaced.
std::string labels_text(Labels labels);
// "0.5", "+Inf", "12": the shortest text that is read back as the same number.
std::string number_text(double value);

}  // namespace natra::api
