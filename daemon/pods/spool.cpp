// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/spool.hpp"

#include <fcntl.h>
#include <sys/inotify.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <system_error>

#include "daemon/cni/json_text.hpp"
#include "daemon/cni/request.hpp"
#include "daemon/datapath/netns.hpp"
#include "daemon/pods/state_file.hpp"
#include "daemon/util/files.hpp"
#include "daemon/util/log.hpp"
#include "daemon/util/staged.hpp"

namespace natra::pods {
namespace {

using Code = Error::Code;

constexpr std::size_t max_request_bytes = 1 << 20;
constexpr std::uint64_t retry_period_usec = 10 * EventLoop::second_usec;
// No plugin takes so long to write a request. One that was killed leaves what it had of it.
constexpr std::chrono::seconds unfinished{60};
constexpr std::string_view taken_ending = ".applied";

// The attachment that a tombstone names; nothing if the file is no tombstone.
std::optional<AttachmentName> buried(const std::string& text) {
    const auto object = cni::parse_json(text);
    if (!object || !object->is_object()) return std::nullopt;
    const auto text_of = [&](const char* key) {
        const auto it = object->find(key);
        return it != object->end() && it->is_string() ? it->get<std::string>() : std::string();
    };
    const auto mark = object->find("Tombstone");
    if (mark == object->end() || *mark != true) return std::nullopt;
    return AttachmentName{.container_id = text_of("ContainerId"),
                          .interface_name = text_of("InterfaceName"),
                          .network = text_of("Network")};
}

// Trying again cannot help: the pod is gone, or the request was never right. Short of memory, descriptors or
// permissions natrad knows neither.
bool is_final(const Error& error) {
    return error.code == Code::no_device || error.code == Code::unsupported || error.code == Code::invalid_argument ||
           error.code == Code::already_exists;
}

}  // namespace

Result<void> ask_for_every_pod(const std::string& directory, bool wanted) {
    const auto mark = concat(directory, "/", cni::every_pod_mark);
    if (!wanted) return files::remove(mark);
    if (auto r = files::make_directory(directory); !r) return r;
    return files::write_atomically(mark, "");
}

Spool::Spool(std::string directory, EventLoop& core, Registry& registry)
    : directory_(std::move(directory)), core_(core), registry_(registry) {}

void Spool::start() {
    if (auto r = files::make_directory(directory_); !r) {
        log::error(concat("spool: ", r.error().what));
        return;
    }
    watch_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!watch_ || ::inotify_add_watch(watch_.get(), directory_.c_str(), IN_MOVED_TO) < 0) {
        log::error(fail_errno(Code::kernel, errno, "watch ", directory_).what);
    } else {
        core_.on_readable(watch_.get(), "spool", [this] {
            char events[4096];
            while (::read(watch_.get(), events, sizeof events) > 0) {
            }
            apply_all();
        });
    }
    // A failure that may pass (the kernel short of memory) is tried again.
    core_.every(retry_period_usec, "spool retry", [this] {
        files::remove_staged(directory_, unfinished);
        apply_all();
    });
    files::remove_staged(directory_, unfinished);
    put_taken_back();
    apply_all();
}

// A natrad that died in remove_applied() left them. To apply a request again changes nothing, and it may be a newer
// one.
void Spool::put_taken_back() const {
    std::vector<std::string> taken;
    std::error_code error;
    std::filesystem::directory_iterator entry(directory_, error);
    for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
        const auto name = entry->path().filename().string();
        if (name.starts_with('.') && name.ends_with(taken_ending)) taken.push_back(name);
    }
    for (const auto& name : taken) {
        const auto from = concat(directory_, "/", name);
        const auto to = concat(directory_, "/", name.substr(1, name.size() - 1 - taken_ending.size()));
        if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) continue;
        // Else one that is newer is there.
        if (errno != EEXIST)
            log::warning(fail_errno(Code::kernel, errno, "rename ", from).what);
        else if (auto r = files::remove(from); !r)
            log::warning(r.error().what);
    }
}

void Spool::apply_all() {
    for (const auto& name : files::list(directory_)) apply(name);
}

void Spool::apply(const std::string& name) {
    if (!applying_.insert(name).second) return;
    const auto path = concat(directory_, "/", name);
    const auto text = files::read(path, max_request_bytes);
    if (!text) {
        applying_.erase(name);
        // The shim took it back between listing and reading.
        if (text.error().code == Code::not_found) return;
        log::warning(concat("spool: ", text.error().what));
        if (text.error().code == Code::invalid_argument) (void)files::remove(path);  // too large to be a request
        return;
    }
    carry_out(name, *text);
}

void Spool::carry_out(const std::string& name, const std::string& text) {
    if (const auto name_of_dead = buried(text))
        return registry_.detach(*name_of_dead, [this, name, text](const Result<void>& r) { finished(name, text, r); });
    auto request = request_from_json(text);
    if (!request) return finished(name, text, request.error());
    auto netns = datapath::open_netns(request->netns_path);
    if (!netns) return finished(name, text, netns.error());
    registry_.attach(*std::move(request), *std::move(netns), [this, name, text](Result<std::string> r) {
        // The registry has told why it could not.
        remove_if_final(name, text, r ? Result<void>() : Result<void>(std::move(r).error()));
    });
}

void Spool::finished(const std::string& name, const std::string& text, const Result<void>& result) {
    if (!result) log::warning(concat("spool: ", name, ": ", result.error().what));
    remove_if_final(name, text, result);
}

void Spool::remove_if_final(const std::string& name, const std::string& text, const Result<void>& result) {
    applying_.erase(name);
    if (!result && !is_final(result.error())) return;
    const auto removed = remove_applied(name, text);
    if (!removed) return log::error(concat("spool: ", removed.error().what));
    // On the loop, since a request that ends at once would recurse.
    if (!*removed) core_.post([this, name] { apply(name); });
}

// What is looked at is what is removed: another file may be renamed into the place at any moment.
Result<bool> Spool::remove_applied(const std::string& name, const std::string& text) const {
    const auto path = concat(directory_, "/", name);
    const auto taken = concat(directory_, "/.", name, taken_ending);
    if (::rename(path.c_str(), taken.c_str()) < 0) {
        // The shim took it back.
        if (errno == ENOENT) return true;
        return fail_errno(Code::kernel, errno, "rename ", path);
    }
    const auto found = files::read(taken, max_request_bytes);
    const bool applied = found && *found == text;
    if (!applied) {
        if (::renameat2(AT_FDCWD, taken.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0) return false;
        // Else one that is newer still is there.
        if (errno != EEXIST) return fail_errno(Code::kernel, errno, "rename ", taken);
    }
    if (auto r = files::remove(taken); !r) return r.error();
    return applied;
}

}  // namespace natra::pods
