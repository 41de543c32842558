// SPDX-License-Identifier: Apache-2.0
#include "daemon/config/load.hpp"

#include <charconv>
#include <cstdlib>
#include <set>
#include <utility>

#include "daemon/config/schema.hpp"
#include "daemon/util/files.hpp"

namespace natra::config {
namespace {

using Code = Error::Code;

constexpr std::size_t max_file_bytes = 1 << 20;

std::string drop_in_folder(const std::string& file) {
    const std::string_view suffix = ".json";
    return (file.ends_with(suffix) ? file.substr(0, file.size() - suffix.size()) : file) + ".d";
}

// "[json.exception.parse_error.101] parse error at ..." without what only the library's users need.
std::string_view plain_text(std::string_view what) {
    const auto end = what.starts_with('[') ? what.find("] ") : std::string_view::npos;
    return end == std::string_view::npos ? what : what.substr(end + 2);
}

// Comments are allowed; a key that is given twice in one object is an error, for only one of them would count.
Result<Json> parse(const std::string& text) {
    std::vector<std::set<std::string>> seen;
    std::string repeated;
    const auto watch = [&](int, Json::parse_event_t event, Json& value) {
        if (event == Json::parse_event_t::object_start) seen.emplace_back();
        if (event == Json::parse_event_t::object_end) seen.pop_back();
        if (event == Json::parse_event_t::key && !seen.back().insert(value.get<std::string>()).second)
            repeated = value.get<std::string>();
        return true;
    };
    try {
        auto document = Json::parse(text, watch, true, true);
        if (!repeated.empty()) return fail(Code::invalid_argument, "key \"", repeated, "\" is given twice");
        if (!document.is_object()) return fail(Code::invalid_argument, "not an object");
        return document;
    } catch (const Json::exception& e) {
        return fail(Code::invalid_argument, plain_text(e.what()));
    }
}

class Loader {
public:
    void add_file(const std::string& path, bool required) {
        const auto text = files::read(path, max_file_bytes);
        if (!text) {
            if (required || text.error().code != Code::not_found) out_.errors.push_back(text.error().what);
            return;
        }
        const auto document = parse(*text);
        if (!document)
            out_.errors.push_back(concat(path, ": ", document.error().what));
        else
            add_object(*document, "", path);
    }

    void add_variable(const Key& key, const char* name, const char* value) {
        if (value == nullptr || *value == '\0') return;
        // Text, as all variables are; a number where it can be one.
        std::uint64_t number = 0;
        const std::string_view text(value);
        const auto [end, error] = std::from_chars(text.begin(), text.end(), number);
        const bool numeric = error == std::errc() && end == text.end();
        take(key, numeric ? Json(number) : Json(text), name, name);
    }

    Loaded finish() {
        if (auto r = validate(out_.configuration); !r) out_.errors.push_back(with_origins(r.error().what));
        return std::move(out_);
    }

private:
    void add_object(const Json& object, const std::string& group, const std::string& file) {
        for (const auto& [name, value] : object.items()) {
            const auto path = group.empty() ? name : concat(group, ".", name);
            if (const auto* key = find_key(path))
                take(*key, value, file, concat(file, ": ", path));
            else if (!is_group(path))
                out_.unknown.push_back(concat(file, ": ", path, ": unknown key"));
            else if (value.is_object())
                add_object(value, path, file);
            else if (!value.is_null())
                out_.errors.push_back(concat(file, ": ", path, ": not an object"));
        }
    }

    void take(const Key& key, const Json& value, const std::string& origin, const std::string& prefix) {
        if (value.is_null()) {
            (void)key.read(key.show(Configuration()), out_.configuration);
            if (std::string_view(key.path) == "spoolDir") out_.configuration.spool_dir.clear();
            out_.origins.erase(key.path);
            return;
        }
        if (auto r = key.read(value, out_.configuration); !r)
            // "[0].ingress: ..." goes on with the path.
            out_.errors.push_back(concat(prefix, r.error().what.starts_with('[') ? "" : ": ", r.error().what));
        else
            out_.origins[key.path] = origin;
    }

    std::string with_origins(std::string text) const {
        for (const auto& [path, origin] : out_.origins)
            if (const auto at = text.find(concat(path, ": \"")); at != std::string::npos)
                text.insert(at + path.size(), concat(" (", origin, ")"));
        return text;
    }

    Loaded out_;
};

}  // namespace

Sources sources_from_environment() {
    Sources out;
    if (const char* const file = std::getenv("NATRA_CONFIG"); file != nullptr && *file != '\0') out.file = file;
    return out;
}

Loaded load(const Sources& sources) {
    Loader loader;
    loader.add_file(sources.file, sources.file_required);
    const auto folder = drop_in_folder(sources.file);
    for (const auto& name : files::list(folder))
        if (name.ends_with(".json")) loader.add_file(concat(folder, "/", name), false);
    // The older way to ask for the debug level; NATRA_LOG_LEVEL, which comes after it, is the precise one.
    if (sources.variable("NATRA_DEBUG") != nullptr) loader.add_variable(*find_key("logLevel"), "NATRA_DEBUG", "debug");
    for (const auto& key : keys())
        if (key.variable != nullptr) loader.add_variable(key, key.variable, sources.variable(key.variable));
    return loader.finish();
}

std::vector<std::string> needing_restart(const Configuration& running, const Configuration& wanted) {
    std::vector<std::string> out;
    for (const auto& key : keys())
        if (!key.live && key.show(running) != key.show(wanted)) out.emplace_back(key.path);
    return out;
}

std::string describe(const Loaded& loaded) {
    std::string out;
    for (const auto& key : keys()) {
        const auto origin = loaded.origins.find(key.path);
        out += concat(key.path, " = ", key.show(loaded.configuration).dump(), " (",
                      origin == loaded.origins.end() ? "default" : origin->second, ")\n");
    }
    return out;
}

}  // namespace natra::config
