// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/schema.hpp"

#include <algorithm>

#include "daemon/config/duration.hpp"
#include "daemon/config/limit_rules.hpp"
#include "daemon/config/wrong_value.hpp"

namespace natra::config {
namespace {

using Code = Error::Code;

constexpr std::uint64_t ms = 1'000'000;  // ns
Error none_of(const Json& value, std::string_view names) {
    return fail(Code::invalid_argument, shown(value), " is none of ", names);
}

// Parse: text -> optional of the value.
template <class T, class Parse>
Result<void> read_choice(const Json& value, Parse parse, std::string_view names, T& into) {
    const auto parsed = value.is_string() ? parse(value.get<std::string>()) : decltype(parse(""))();
    if (!parsed) return none_of(value, names);
    into = *parsed;
    return {};
}

Result<void> read_duration(const Json& value, std::uint64_t least, std::uint64_t most, std::uint64_t& into) {
    const auto ns = value.is_string()            ? parse_duration(value.get<std::string>())
                    : value.is_number_unsigned() ? std::optional(value.get<std::uint64_t>())
                                                 : std::nullopt;
    if (!ns || *ns < least || *ns > most)
        return wrong(value, concat("a time from ", print_duration(least), " to ", print_duration(most),
                                   ", as text with its unit (\"5ms\") or as an integer in ns"));
    into = *ns;
    return {};
}

Result<void> read_count(const Json& value, std::uint64_t least, std::uint64_t most, std::uint64_t& into) {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() < least || value.get<std::uint64_t>() > most)
        return wrong(value, concat("an integer from ", least, " to ", most));
    into = value.get<std::uint64_t>();
    return {};
}

Result<void> read_path(const Json& value, std::string& into) {
    const auto text = value.is_string() ? value.get<std::string>() : std::string();
    if (!text.starts_with('/') || text.find('\0') != std::string::npos) return wrong(value, "an absolute path");
    into = text;
    // "/run/natra/" names the same folder.
    while (into.size() > 1 && into.ends_with('/')) into.pop_back();
    return {};
}

// "": none.
Result<void> read_socket(const Json& value, std::string& into) {
    constexpr std::size_t most = 107;  // sockaddr_un
    // NOLINTNEXTLINE(readability-container-size-empty): so are null and []
    if (value == "") {
        into.clear();
        return {};
    }
    std::string path;
    if (auto r = read_path(value, path); !r) return r;
    if (path.size() > most) return wrong(value, concat("a path of at most ", most, " bytes"));
    into = path;
    return {};
}

// "": none. Whether the node has it is known where it is used.
Result<void> read_group(const Json& value, std::string& into) {
    const auto name = value.is_string() ? value.get<std::string>() : std::string(1, '\0');
    if (name.find_first_of(std::string_view(":/\n\0", 4)) != std::string::npos)
        return wrong(value, "the name of a group");
    into = name;
    return {};
}

Result<void> read_paths(const Json& value, std::vector<std::string>& into) {
    if (!value.is_array()) return wrong(value, "a list of absolute paths");
    std::vector<std::string> paths;
    for (const auto& element : value)
        if (auto r = read_path(element, paths.emplace_back()); !r) return r;
    into = std::move(paths);
    return {};
}

Result<void> read_switch(const Json& value, bool& into) {
    if (!value.is_boolean()) return wrong(value, "true or false");
    into = value.get<bool>();
    return {};
}

using Shaper = std::optional<datapath::Shaper>;

std::optional<Shaper> shaper_or_auto(std::string_view name) {
    if (name == "auto") return Shaper();
    const auto shaper = datapath::shaper_from(name);
    return shaper ? std::optional<Shaper>(shaper) : std::nullopt;
}

constexpr Key schema[] = {
    {"attachMode", "NATRA_ATTACH_MODE", true,
     [](const Json& v, Configuration& c) {
         return read_choice(v, datapath::attach_mode_from, "auto, tcx, clsact", c.data_path.attach_mode);
     },
     [](const Configuration& c) { return Json(to_string(c.data_path.attach_mode)); }},
    {"edtPacing", "NATRA_EDT_PACING", true,
     [](const Json& v, Configuration& c) {
         return read_choice(v, datapath::edt_pacing_from, "auto, on, off", c.data_path.edt_pacing);
     },
     [](const Configuration& c) { return Json(to_string(c.data_path.edt_pacing)); }},
    {"shaper", "NATRA_SHAPER", true,
     [](const Json& v, Configuration& c) {
         return read_choice(v, shaper_or_auto, "auto, edt, htb, police", c.data_path.shaper);
     },
     [](const Configuration& c) { return Json(pods::shaper_text(c.data_path.shaper)); }},
    {"limits.defaultBurst", nullptr, true,
     [](const Json& v, Configuration& c) {
         if (v == "auto") {
             c.limits.default_burst_ns = 0;
             return Result<void>();
         }
         auto r = read_duration(v, 1 * ms, 10'000 * ms, c.limits.default_burst_ns);
         return r ? r : Result<void>(fail(Code::invalid_argument, r.error().what, ", nor \"auto\""));
     },
     [](const Configuration& c) {
         return Json(c.limits.default_burst_ns == 0 ? "auto" : print_duration(c.limits.default_burst_ns));
     }},
    {"limits.maxBurst", nullptr, true,
     [](const Json& v, Configuration& c) { return read_duration(v, 1 * ms, 3'600'000 * ms, c.limits.max_burst_ns); },
     [](const Configuration& c) { return Json(print_duration(c.limits.max_burst_ns)); }},
    {"limits.default", nullptr, true,
     [](const Json& v, Configuration& c) { return read_rules(v, RuleKind::defaults, c.limits.rules.defaults); },
     [](const Configuration& c) { return show_rules(c.limits.rules.defaults); }},
    {"limits.max", nullptr, true,
     [](const Json& v, Configuration& c) { return read_rules(v, RuleKind::ceilings, c.limits.rules.ceilings); },
     [](const Configuration& c) { return show_rules(c.limits.rules.ceilings); }},
    {"limits.heavyThreshold.bytes", nullptr, true,
     [](const Json& v, Configuration& c) { return read_count(v, 1514, 1 << 20, c.limits.heavy_bytes); },
     [](const Configuration& c) { return Json(c.limits.heavy_bytes); }},
    {"limits.heavyThreshold.time", nullptr, true,
     [](const Json& v, Configuration& c) { return read_duration(v, ms / 10, 100 * ms, c.limits.heavy_ns); },
     [](const Configuration& c) { return Json(print_duration(c.limits.heavy_ns)); }},
    {"chain.manage", nullptr, false, [](const Json& v, Configuration& c) { return read_switch(v, c.chain.manage); },
     [](const Configuration& c) { return Json(c.chain.manage); }},
    {"chain.directories", nullptr, false,
     [](const Json& v, Configuration& c) { return read_paths(v, c.chain.directories); },
     [](const Configuration& c) { return Json(c.chain.directories); }},
    {"chain.binaryDirectories", nullptr, false,
     [](const Json& v, Configuration& c) { return read_paths(v, c.chain.binary_directories); },
     [](const Configuration& c) { return Json(c.chain.binary_directories); }},
    {"chain.stateDirectory", nullptr, false,
     [](const Json& v, Configuration& c) { return read_path(v, c.chain.state_directory); },
     [](const Configuration& c) { return Json(c.chain.state_directory); }},
    {"adoption.pods", nullptr, false,
     [](const Json& v, Configuration& c) {
         return read_choice(v, pods::which_from, "none, limited, all", c.adoption.which);
     },
     [](const Configuration& c) { return Json(to_string(c.adoption.which)); }},
    {"adoption.directories", "NATRA_CNI_CACHE", false,
     [](const Json& v, Configuration& c) {
         // A variable holds one.
         return read_paths(v.is_string() ? Json::array({v}) : v, c.adoption.directories);
     },
     [](const Configuration& c) { return Json(c.adoption.directories); }},
    {"otherLimiters", nullptr, true,
     [](const Json& v, Configuration& c) {
         return read_choice(v, pods::other_limiters_policy_from, "report, standDown", c.other_limiters);
     },
     [](const Configuration& c) { return Json(to_string(c.other_limiters)); }},
    {"api.socket", "NATRA_API_SOCKET", false,
     [](const Json& v, Configuration& c) { return read_socket(v, c.api.socket); },
     [](const Configuration& c) { return Json(c.api.socket); }},
    {"api.group", "NATRA_API_GROUP", false, [](const Json& v, Configuration& c) { return read_group(v, c.api.group); },
     [](const Configuration& c) { return Json(c.api.group); }},
    {"api.maxConnections", nullptr, false,
     [](const Json& v, Configuration& c) { return read_count(v, 1, 1024, c.api.max_connections); },
     [](const Configuration& c) { return Json(c.api.max_connections); }},
    {"api.metricsPods", nullptr, false,
     [](const Json& v, Configuration& c) { return read_count(v, 0, 4096, c.api.metrics_pods); },
     [](const Configuration& c) { return Json(c.api.metrics_pods); }},
    {"logLevel", "NATRA_LOG_LEVEL", true,
     [](const Json& v, Configuration& c) {
         return read_choice(v, log::level_from, "error, warning, notice, info, debug", c.log_level);
     },
     [](const Configuration& c) { return Json(log::to_string(c.log_level)); }},
    {"runtimeDir", "NATRA_RUNTIME_DIR", false,
     [](const Json& v, Configuration& c) { return read_path(v, c.runtime_dir); },
     [](const Configuration& c) { return Json(c.runtime_dir); }},
    {"spoolDir", "NATRA_SPOOL_DIR", false, [](const Json& v, Configuration& c) { return read_path(v, c.spool_dir); },
     [](const Configuration& c) { return Json(spool_dir_of(c)); }},
    {"bpffsDir", "NATRA_BPFFS_DIR", false, [](const Json& v, Configuration& c) { return read_path(v, c.bpffs_dir); },
     [](const Configuration& c) { return Json(c.bpffs_dir); }},
    {"poolSize", "NATRA_POOL_SIZE", false,
     [](const Json& v, Configuration& c) { return read_count(v, 0, 4096, c.pool_size); },
     [](const Configuration& c) { return Json(c.pool_size); }},
};

}  // namespace

std::span<const Key> keys() { return schema; }

const Key* find_key(std::string_view path) {
    const auto* const found =
        std::find_if(std::begin(schema), std::end(schema), [&](const Key& k) { return path == k.path; });
    return found == std::end(schema) ? nullptr : found;
}

bool is_group(std::string_view path) {
    const auto prefix = concat(path, ".");
    return std::any_of(std::begin(schema), std::end(schema),
                       [&](const Key& k) { return std::string_view(k.path).starts_with(prefix); });
}

Result<void> validate(const Configuration& configuration) {
    return pods::validate(configuration.data_path, "edtPacing", "shaper");
}

}  // namespace natra::config
