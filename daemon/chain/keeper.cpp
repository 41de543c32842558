// SPDX-License-Identifier: Apache-2.0
#include "daemon/chain/keeper.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "daemon/util/files.hpp"
#include "daemon/util/log.hpp"

namespace natra::chain {
namespace {

using Code = Error::Code;

constexpr std::size_t max_conf_bytes = 1 << 20;

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

Result<void> rename_file(const std::string& from, const std::string& to) {
    if (::rename(from.c_str(), to.c_str()) < 0) return fail_errno(Code::kernel, errno, "rename ", from, " to ", to);
    return {};
}

}  // namespace

void Keeper::look(Clock::time_point now) {
    if (!settings_.manage) return release();
    for (const auto& directory : settings_.directories) look_at(directory, now);
}

void Keeper::look_at(const std::string& directory, Clock::time_point now) {
    const auto problem = [&](std::string text) {
        auto& known = problems_[directory];
        if (known == text) return;
        log::error(concat("chain: ", text));
        known = std::move(text);
    };
    const auto file = conf_in_use(directory);
    // A file that is gone, or that another one now comes before, is not ours to keep changed.
    for (const auto& record : records_.all()) {
        const bool in_use = file && (record.written_path() == file->path || record.path == file->path);
        if (in_use || folder_of(record.path) != directory) continue;
        if (auto r = take_out(record); !r) return problem(r.error().what);
    }
    if (!file) {
        problems_.erase(directory);
        return;
    }
    const auto edit = with_natra(file->text, file->format);
    if (!edit) return problem(concat(file->path, ": ", edit.error().what));
    if (!*edit) {
        problems_.erase(directory);
        return;
    }
    const auto types = plugin_types(file->text, file->format);
    if (auto r = natra_is_beside(types->front(), settings_.binary_directories); !r)
        return problem(concat(file->path, " is left alone: ", r.error().what));
    if (!may_insert(file->path, now))
        return problem(concat(file->path, " is left alone: another program has taken natra out ", max_insertions,
                              " times; stop it, or set chain.manage to false"));
    if (auto r = insert(*file, **edit); !r) return problem(concat(file->path, ": ", r.error().what));
    problems_.erase(directory);
    log::info(concat("chain: put natra into ", file->path, ", ", (*edit)->how));
}

bool Keeper::may_insert(const std::string& path, Clock::time_point now) {
    auto& times = insertions_[path];
    while (!times.empty() && now - times.front() > insertion_period) times.pop_front();
    if (times.size() >= max_insertions) return false;
    times.push_back(now);
    return true;
}

Result<void> Keeper::insert(const ConfFile& file, const Edit& edit) {
    const Record record{.path = file.path, .format = file.format, .original = file.text, .written = edit.text};
    if (auto r = records_.put(record); !r) return r;
    if (file.format == Format::list) return files::replace(file.path, edit.text, file.path);
    // The runtime sees either the single plugin or, as long as both are there, still that one.
    if (auto r = files::replace(list_path_for(file.path), edit.text, file.path); !r) return r;
    return rename_file(file.path, kept_path_for(file.path));
}

Result<void> Keeper::take_out(const Record& record) {
    const auto path = record.written_path();
    const auto current = files::read(path, max_conf_bytes);
    if (!current && current.error().code != Code::not_found) return current.error();
    if (record.format == Format::single) {
        // Whoever wrote a new single plugin meanwhile, or removed our list, has decided.
        const bool ours = current && *current == record.written;
        const bool replaced = ::access(record.path.c_str(), F_OK) == 0;
        if (ours && !replaced) {
            if (auto r = rename_file(kept_path_for(record.path), record.path); !r) return r;
        } else if (auto r = files::remove(kept_path_for(record.path)); !r) {
            return r;
        }
        if (ours)
            if (auto r = files::remove(path); !r) return r;
        if (ours || !current) {
            records_.forget(record);
            log::info(concat("chain: took natra out of ", record.path));
            return {};
        }
    }
    if (current) {
        if (*current == record.written) {
            if (auto r = files::replace(path, record.original, path); !r) return r;
        } else if (const auto text = without_natra(*current, record.original, record.format); text && *text) {
            if (auto r = files::replace(path, **text, path); !r) return r;
        }
        log::info(concat("chain: took natra out of ", path));
    }
    records_.forget(record);
    return {};
}

void Keeper::release() {
    problems_.clear();
    for (const auto& record : records_.all())
        if (auto r = take_out(record); !r) {
            log::error(concat("chain: ", r.error().what));
            problems_[folder_of(record.path)] = r.error().what;
        }
}

std::vector<std::string> Keeper::problems() const {
    std::vector<std::string> out;
    for (const auto& [directory, text] : problems_) out.push_back(concat("chain: ", text));
    return out;
}

}  // namespace natra::chain
