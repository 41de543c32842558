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
    auto trouble = mend(directory, now);
    auto& known = problems_[directory];
    if (!trouble.empty() && trouble != known) log::error(concat("chain: ", trouble));
    known = std::move(trouble);
    if (known.empty()) problems_.erase(directory);
}

// What could not be done, as a sentence; empty if all is well.
std::string Keeper::mend(const std::string& directory, Clock::time_point now) {
    const auto file = conf_in_use(directory);
    std::string trouble;
    std::optional<Record> ours;
    for (const auto& record : records_.all()) {
        if (folder_of(record.path) != directory) continue;
        if (file && (record.written_path() == file->path || record.path == file->path)) {
            ours = record;
            continue;
        }
        // A file that is gone, or that another one now comes before, is not ours to keep changed.
        if (auto r = take_out(record); !r) trouble = r.error().what;
    }
    if (!file) return trouble;
    const auto edit = with_natra(file->text, file->format);
    if (!edit) return concat(file->path, " is left alone: ", edit.error().what);
    const auto types = plugin_types(file->text, file->format);
    const auto beside = natra_is_beside(types->front(), settings_.binary_directories);
    if (!*edit) {
        if (beside || !ours) return trouble;
        if (auto r = take_out(*ours); !r) return r.error().what;
    }
    if (!beside) return concat(file->path, " is left alone: ", beside.error().what);
    if (!may_insert(file->path, now))
        return concat(file->path, " is left alone: another program has taken natra out ", max_insertions,
                      " times; stop it, or set chain.manage to false");
    if (auto r = insert(*file, **edit); !r) return concat(file->path, ": ", r.error().what);
    log::write(log::Level::info, log::events::chain_edited,
               concat("chain: put natra into ", file->path, ", ", (*edit)->how), {{"NATRA_FILE", file->path}});
    return trouble;
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

// The record stays as long as natra may come back with the file: while it is absent (installers move files
// away and back), or cannot be understood.
Result<void> Keeper::take_out(const Record& record) {
    const auto path = record.written_path();
    const auto current = files::read(path, max_conf_bytes);
    if (!current) return current.error().code == Code::not_found ? Result<void>() : Result<void>(current.error());
    const bool untouched = *current == record.written;
    if (record.format == Format::single && untouched) {
        // Whoever wrote a new single plugin meanwhile has decided.
        if (::access(record.path.c_str(), F_OK) != 0)
            if (auto r = rename_file(kept_path_for(record.path), record.path); !r) return r;
        if (auto r = files::remove(kept_path_for(record.path)); !r) return r;
        if (auto r = files::remove(path); !r) return r;
    } else if (untouched) {
        if (auto r = files::replace(path, record.original, path); !r) return r;
    } else {
        const auto text = without_natra(*current, record.original, record.format);
        if (!text) return fail(text.error().code, path, ": natra cannot be taken out: ", text.error().what);
        if (*text)
            if (auto r = files::replace(path, **text, path); !r) return r;
    }
    records_.forget(record);
    log::write(log::Level::info, log::events::chain_restored, concat("chain: took natra out of ", record.path),
               {{"NATRA_FILE", record.path}});
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
