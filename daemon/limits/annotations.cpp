// SPDX-License-Identifier: Apache-2.0
#include "daemon/limits/annotations.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "daemon/limits/floor.hpp"
#include "daemon/limits/quantity.hpp"

namespace natra::limits {
namespace {

using Code = Error::Code;
using nlohmann::json;

constexpr std::string_view own_prefix = "natra.io/";
constexpr std::string_view own_keys[] = {"natra.io/ingress-rate", "natra.io/ingress-burst", "natra.io/egress-rate",
                                         "natra.io/egress-burst", "natra.io/heavy-threshold"};
constexpr std::string_view standard_keys[] = {"kubernetes.io/ingress-bandwidth", "kubernetes.io/egress-bandwidth"};
constexpr std::size_t max_warnings = 16;
constexpr std::size_t max_quoted = 80;

constexpr std::string_view sketch_is_fixed = "the sketch has 4 rows of 1024 cells; the size asked for has no effect";

struct Range {
    std::uint64_t least = 0;
    std::uint64_t most = 0;
    bool zero = false;  // is allowed, too
    const char* unit = "";
    bool rate = false;
};
static_assert(min_annotated_rate_bps == min_set_rate_bps);
constexpr Range rates{min_annotated_rate_bps, max_rate_bps, true, "bit/s", true};
constexpr Range bursts{8, burst_limit_bits - 1, true, "bits"};
constexpr Range thresholds{min_heavy_threshold_bytes, max_heavy_threshold_bytes, false, "bytes"};

// What one annotation, or one object in it, asks for.
struct Wish {
    std::optional<std::uint64_t> rate_bps;
    std::optional<std::uint64_t> burst_bits;
    std::optional<std::uint64_t> heavy_threshold_bytes;
};

// From outside, and on its way to logs, the bus and terminals.
std::string quote(std::string_view text) {
    std::string out = "\"";
    for (const char c : text.substr(0, max_quoted)) out += c >= ' ' && c <= '~' ? c : '?';
    return out + (text.size() > max_quoted ? "...\"" : "\"");
}

class Reader {
public:
    explicit Reader(const Annotations& annotations) : annotations_(annotations) {}

    void warn(std::string_view where, std::string_view why) {
        if (++count_ <= max_warnings) warnings_.push_back(concat(where, ": ", why));
    }

    std::vector<std::string> warnings() && {
        if (count_ > max_warnings) warnings_.push_back(concat("and ", count_ - max_warnings, " more"));
        return std::move(warnings_);
    }

    std::optional<std::uint64_t> quantity(const std::string& where, std::string_view text, const Range& range) {
        const auto value = parse_quantity(text);
        if (!value) {
            warn(concat(where, " ", quote(text)), value.error().what);
            return std::nullopt;
        }
        if (*value == 0 && range.zero) return 0;
        if (*value >= range.least && *value <= range.most) return *value;
        if (range.rate && *value < range.least) {
            warn(concat(where, " ", quote(text)), too_slow(text));
            return std::nullopt;
        }
        warn(concat(where, " ", quote(text)),
             concat("is ", *value, " ", range.unit, ", not within ", range.least, " to ", range.most));
        return std::nullopt;
    }

    std::optional<std::uint64_t> quantity(const std::string& key, const Range& range) {
        const auto found = annotations_.find(key);
        if (found == annotations_.end()) return std::nullopt;
        return quantity(key, found->second, range);
    }

    // A member of an object; numbers count as they are written.
    std::optional<std::uint64_t> quantity(const std::string& where, const json& object, const char* key,
                                          const Range& range) {
        const auto found = object.find(key);
        if (found == object.end() || found->is_null()) return std::nullopt;
        const auto path = concat(where, " ", key);
        if (found->is_string()) return quantity(path, found->get_ref<const std::string&>(), range);
        if (found->is_number()) return quantity(path, found->dump(), range);
        warn(path, "expected a quantity");
        return std::nullopt;
    }

    // kubernetes.io/: a quantity, or an object.
    Wish standard(const std::string& key) {
        const auto found = annotations_.find(key);
        if (found == annotations_.end()) return {};
        const auto& text = found->second;
        const auto start = text.find_first_not_of(" \t\r\n");
        if (start == std::string::npos || text[start] != '{') return {.rate_bps = quantity(key, text, rates)};
        const auto object = json::parse(text, nullptr, false);
        if (!object.is_object()) {
            warn(concat(key, " ", quote(text)), "is no JSON object");
            return {};
        }
        Wish out{.rate_bps = quantity(key, object, "rate", rates),
                 .burst_bits = quantity(key, object, "burst", bursts)};
        const auto cms = object.find("cms");
        if (cms == object.end() || cms->is_null()) return out;
        if (!cms->is_object()) {
            warn(concat(key, " cms"), "expected an object");
            return out;
        }
        if (cms->contains("width") || cms->contains("depth")) warn(concat(key, " cms"), sketch_is_fixed);
        out.heavy_threshold_bytes = quantity(concat(key, " cms"), *cms, "heavyHitterThreshold", thresholds);
        return out;
    }

private:
    const Annotations& annotations_;
    std::vector<std::string> warnings_;
    std::size_t count_ = 0;
};

Limit interpret_direction(Reader& reader, const std::string& name, const Limit& asked, bool from_conf,
                          std::optional<std::uint64_t> threshold) {
    const auto standard = reader.standard("kubernetes.io/" + name + "-bandwidth");
    const auto rate_key = concat(own_prefix, name, "-rate");
    const auto burst_key = concat(own_prefix, name, "-burst");
    const auto rate = reader.quantity(rate_key, rates);
    const auto burst = reader.quantity(burst_key, bursts);
    Limit out = asked;
    if (!from_conf) {
        if (!out.limited() && standard.rate_bps)
            out = {.rate_bps = *standard.rate_bps,
                   .burst_bits = standard.burst_bits.value_or(0),
                   .source = Source::annotation};
        // The runtime's burst belongs to the runtime's rate.
        if (rate) out = {.rate_bps = *rate, .burst_bits = 0, .source = Source::annotation};
        if (burst && out.limited()) out.burst_bits = *burst;
        if (burst && *burst != 0 && !out.limited()) reader.warn(burst_key, "a burst without a rate has no effect");
    }
    // A 0 is a word, too: no default comes in its place.
    if (!out.limited()) out = {.source = out.source};
    // Kept without a limit, too: an operator may set one later.
    out.heavy_threshold_bytes = threshold.value_or(standard.heavy_threshold_bytes.value_or(0));
    return out;
}

}  // namespace

bool is_relevant_annotation(std::string_view key) {
    return key.starts_with(own_prefix) ||
           std::find(std::begin(standard_keys), std::end(standard_keys), key) != std::end(standard_keys);
}

Interpreted interpret(const Limits& asked, const Annotations& annotations) {
    const bool from_conf = asked.ingress.source == Source::conf || asked.egress.source == Source::conf;
    Reader reader(annotations);
    for (const auto& [key, value] : annotations)
        if (key.starts_with(own_prefix) &&
            std::find(std::begin(own_keys), std::end(own_keys), key) == std::end(own_keys))
            reader.warn(quote(key), "is no annotation that natra knows");
    const auto threshold = reader.quantity("natra.io/heavy-threshold", thresholds);
    Interpreted out;
    out.limits.ingress = interpret_direction(reader, "ingress", asked.ingress, from_conf, threshold);
    out.limits.egress = interpret_direction(reader, "egress", asked.egress, from_conf, threshold);
    out.warnings = std::move(reader).warnings();
    return out;
}

}  // namespace natra::limits
