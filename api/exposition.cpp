// SPDX-License-Identifier: Apache-2.0
#include "api/exposition.hpp"

#include <charconv>
#include <cmath>

#include "api/text.hpp"
#include "daemon/util/utf8.hpp"

namespace natra::api {
namespace {

void append_escaped(std::string& out, std::string_view text, bool quotes) {
    if (text.find_first_of("\\\n\"") == std::string_view::npos) {
        out += text;
        return;
    }
    for (const char c : text) {
        if (c == '\\')
            out += "\\\\";
        else if (c == '\n')
            out += "\\n";
        else if (c == '"' && quotes)
            out += "\\\"";
        else
            out += c;
    }
}

std::string ascii_only(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (!is_ascii(c)) c = '?';
    return out;
}

void append_labels(std::string& out, Labels labels) {
    std::string_view separator;
    for (const auto& [name, value] : labels) {
        out.append(separator).append(name).append("=\"");
        if (is_utf8(value))
            append_escaped(out, value, true);
        else
            append_escaped(out, ascii_only(value), true);
        out += '"';
        separator = ",";
    }
}

}  // namespace

std::string labels_text(Labels labels) {
    std::string out;
    append_labels(out, labels);
    return out;
}

std::string number_text(double value) {
    if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
    if (std::isnan(value)) return "NaN";
    char text[32];
    const auto [end, error] = std::to_chars(std::begin(text), std::end(text), value);
    return error == std::errc() ? std::string(text, end) : "NaN";
}

void Exposition::family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_.append("# HELP ").append(name).append(" ");
    append_escaped(text_, help, false);
    text_ += '\n';
    text_.append("# TYPE ").append(name).append(" ").append(type).append("\n");
}

void Exposition::sample(Labels labels, double value, std::string_view common) {
    line("", common, labels, number_text(value));
}

void Exposition::sample(Labels labels, std::uint64_t value, std::string_view common) {
    line("", common, labels, std::to_string(value));
}

void Exposition::sample_of(std::string_view suffix, Labels labels, double value, std::string_view common) {
    line(suffix, common, labels, number_text(value));
}

void Exposition::sample_of(std::string_view suffix, Labels labels, std::uint64_t value, std::string_view common) {
    line(suffix, common, labels, std::to_string(value));
}

void Exposition::line(std::string_view suffix, std::string_view common, Labels labels, std::string_view value) {
    text_.append(name_).append(suffix);
    if (!common.empty() || labels.size() > 0) {
        text_.append("{").append(common);
        if (!common.empty() && labels.size() > 0) text_.append(",");
        if (labels.size() > 0) append_labels(text_, labels);
        text_.append("}");
    }
    text_.append(" ").append(value).append("\n");
}

}  // namespace natra::api
