// SPDX-License-Identifier: Apache-2.0
#include "daemon/chain/keeper.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "daemon/chain/conflicts.hpp"
#include "daemon/chain/network.hpp"
#include "daemon/util/files.hpp"
#include "daemon/util/log.hpp"
#include "daemon/util/staged.hpp"

namespace natra::chain {
namespace {

using Code = Error::Code;

bool exists(const std::string& path) {
    struct stat info {};
    return ::lstat(path.c_str(), &info) == 0;
}

// The file itself, so that a link to it stays one.
std::string behind_links(const std::string& path) {
    std::error_code error;
    const auto file = std::filesystem::canonical(path, error);
    return error ? path : file.string();
}

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

Result<void> rename_file(const std::string& from, const std::string& to) {
    if (::rename(from.c_str(), to.c_str()) < 0) return fail_errno(Code::kernel, errno, "rename ", from, " to ", to);
    return {};
}

}  // namespace

// Only the natrad that holds the lock writes files of such names.
void Keeper::remove_unfinished() const {
    auto directories = settings_.directories;
    directories.push_back(settings_.state_directory);
    for (const auto& record : records_.all()) {
        directories.push_back(folder_of(record.path));
        directories.push_back(folder_of(behind_links(record.path)));
    }
    std::sort(directories.begin(), directories.end());
    directories.erase(std::unique(directories.begin(), directories.end()), directories.end());
    for (const auto& directory : directories) files::remove_staged(directory, std::chrono::seconds(0));
}

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
    const auto found = conf_in_use(directory);
    if (!found) return concat(directory, " is left alone: ", found.error().what);
    const auto& file = *found;
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
    auto possible = check_folder(file->network);
    if (possible) possible = natra_is_beside(file->network.plugins.front().type, settings_.binary_directories);
    const bool elsewhere = natra_in_folder(file->network);
    if (ours && (!possible || elsewhere))
        if (auto r = take_out(*ours); !r) return r.error().what;
    if (elsewhere) return trouble;
    if (!possible) {
        // Put in by the administrator, in a file that natrad did not write.
        const bool theirs = !ours && has_natra(file->network);
        return theirs ? trouble : concat(file->path, " is left alone: ", possible.error().what);
    }
    const auto edit = with_natra(file->text, file->format);
    if (!edit) return concat(file->path, " is left alone: ", edit.error().what);
    if (!*edit) return trouble;
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
    if (file.format == Format::list) return files::replace(behind_links(file.path), edit.text, file.path);
    // The runtime sees either the single plugin or, as long as both are there, still that one.
    if (auto r = files::replace(list_path_for(file.path), edit.text, file.path); !r) return r;
    return rename_file(file.path, kept_path_for(file.path));
}

// The original as it was kept; if that is gone, from the record.
Result<void> Keeper::put_single_back(const Record& record) {
    const auto list = record.written_path();
    const auto kept = kept_path_for(record.path);
    // Whoever wrote a new single plugin meanwhile has decided.
    const bool written_anew = exists(record.path);
    if (!written_anew) {
        auto r = exists(kept) ? rename_file(kept, record.path) : files::replace(record.path, record.original, list);
        if (!r) return r;
    }
    if (auto r = files::remove(kept); !r) return r;
    return files::remove(list);
}

// The record stays as long as natra may come back with the file: while it is absent (installers move files
// away and back), or cannot be understood.
Result<void> Keeper::take_out(const Record& record) {
    const auto path = record.written_path();
    const auto current = files::read(path, max_conf_bytes);
    if (!current) return current.error().code == Code::not_found ? Result<void>() : Result<void>(current.error());
    const bool untouched = *current == record.written;
    if (record.format == Format::single && untouched) {
        if (auto r = put_single_back(record); !r) return r;
    } else if (untouched) {
        if (auto r = files::replace(behind_links(path), record.original, path); !r) return r;
    } else {
        const auto text = without_natra(*current, record.original, record.format);
        if (!text) return fail(text.error().code, path, ": natra cannot be taken out: ", text.error().what);
        if (*text)
            if (auto r = files::replace(behind_links(path), **text, path); !r) return r;
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

// A folder that cannot be read is look()'s to tell of, if the chain is natrad's to manage.
void Keeper::look_for_conflicts() {
    std::vector<std::string> found;
    for (const auto& directory : settings_.directories) {
        const auto file = conf_in_use(directory);
        if (!file || !*file) continue;
        for (auto& sentence : conflicts(**file, settings_.binary_directories)) found.push_back(std::move(sentence));
    }
    for (const auto& sentence : found)
        if (std::find(conflicts_.begin(), conflicts_.end(), sentence) == conflicts_.end())
            log::error(concat("chain: ", sentence));
    conflicts_ = std::move(found);
}

std::vector<std::string> Keeper::problems() const {
    std::vector<std::string> out;
    for (const auto& sentence : conflicts_) out.push_back(concat("chain: ", sentence));
    for (const auto& [directory, text] : problems_) out.push_back(concat("chain: ", text));
    return out;
}

}  // namespace natra::chain
