// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/spool.hpp"

#include <sys/inotify.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "daemon/datapath/netns.hpp"
#include "daemon/pods/state_file.hpp"
#include "daemon/util/files.hpp"
#include "daemon/util/log.hpp"

namespace natra::pods {
namespace {

using Code = Error::Code;

constexpr std::size_t max_request_bytes = 1 << 20;
constexpr std::uint64_t retry_period_usec = 10 * EventLoop::second_usec;

// The attachment that a tombstone names; nothing if the file is no tombstone.
std::optional<AttachmentName> buried(const std::string& text) {
    const auto object = nlohmann::json::parse(text, nullptr, false);
    const auto text_of = [&](const char* key) {
        const auto it = object.find(key);
        return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
    };
    if (!object.is_object()) return std::nullopt;
    const auto mark = object.find("Tombstone");
    if (mark == object.end() || *mark != true) return std::nullopt;
    return AttachmentName{.container_id = text_of("ContainerId"),
                          .interface_name = text_of("InterfaceName"),
                          .network = text_of("Network")};
}

// Trying again cannot help: the pod is gone, or the request was never right.
bool is_final(const Error& error) {
    return error.code == Code::no_device || error.code == Code::unsupported || error.code == Code::invalid_argument ||
           error.code == Code::already_exists;
}

}  // namespace

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
    core_.every(retry_period_usec, "spool retry", [this] { apply_all(); });
    apply_all();
}

void Spool::apply_all() {
    for (const auto& name : files::list(directory_)) apply(name);
}

void Spool::apply(const std::string& name) {
    if (!applying_.insert(name).second) return;
    const auto path = concat(directory_, "/", name);
    const auto text = files::read(path, max_request_bytes);
    if (!text) {
        // not_found: the shim took it back between listing and reading.
        if (text.error().code != Code::not_found) return finished(name, text.error());
        applying_.erase(name);
        return;
    }
    if (const auto name_of_dead = buried(*text))
        return registry_.detach(*name_of_dead, [this, name](const Result<void>& r) { finished(name, r); });
    auto request = request_from_json(*text);
    if (!request) return finished(name, request.error());
    auto netns = datapath::open_netns(request->netns_path);
    if (!netns) return finished(name, netns.error());
    registry_.attach(*std::move(request), *std::move(netns), [this, name](Result<std::string> r) {
        // The registry has told why it could not.
        remove_if_final(name, r ? Result<void>() : Result<void>(std::move(r).error()));
    });
}

void Spool::finished(const std::string& name, const Result<void>& result) {
    if (!result) log::warning(concat("spool: ", name, ": ", result.error().what));
    remove_if_final(name, result);
}

void Spool::remove_if_final(const std::string& name, const Result<void>& result) {
    applying_.erase(name);
    if (!result && !is_final(result.error())) return;
    if (auto r = files::remove(concat(directory_, "/", name)); !r) log::error(concat("spool: ", r.error().what));
}

}  // namespace natra::pods
