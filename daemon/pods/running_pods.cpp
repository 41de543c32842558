// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/running_pods.hpp"

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <utility>

#include "daemon/datapath/netns.hpp"
#include "daemon/pods/announce.hpp"
#include "daemon/pods/attachment_id.hpp"
#include "daemon/pods/state_file.hpp"
#include "daemon/util/files.hpp"
#include "daemon/util/log.hpp"

namespace natra::pods {
namespace {

using Code = Error::Code;
using Which = AdoptionSettings::Which;

constexpr std::size_t max_entry_bytes = 1 << 20;
constexpr std::uint64_t watch_period_usec = 10 * EventLoop::second_usec;
constexpr std::pair<Which, std::string_view> names[] = {
    {Which::none, "none"}, {Which::limited, "limited"}, {Which::all, "all"}};

// The path of a process that is gone may lead to another one's namespace, or to the node's.
Result<UniqueFd> open_pod(const std::string& path) {
    auto pod = datapath::open_netns(path);
    if (!pod) return pod.error();
    const auto own = datapath::open_netns("/proc/self/ns/net");
    if (!own) return own.error();
    const auto theirs = datapath::netns_id(pod->get());
    const auto ours = datapath::netns_id(own->get());
    if (theirs && ours && *theirs == *ours)
        return fail(Code::no_device, "\"", path, "\" is the node's own network namespace");
    return pod;
}

// Calico's Felix limits with the same qdisc in the same place.
bool is_calicos(const std::vector<std::string>& host_interfaces) {
    return std::any_of(host_interfaces.begin(), host_interfaces.end(),
                       [](const std::string& name) { return name.starts_with("cali"); });
}

log::Fields fields_of(const cni::Identity& identity) {
    const AttachRequest request{.container_id = identity.container_id,
                                .interface_name = identity.interface,
                                .pod_namespace = identity.pod_namespace,
                                .pod_name = identity.pod_name,
                                .pod_uid = identity.pod_uid};
    return identity_fields(request, attachment_id(identity.container_id, identity.interface));
}

}  // namespace

std::string_view to_string(Which which) {
    const auto* const found =
        std::find_if(std::begin(names), std::end(names), [&](const auto& each) { return each.first == which; });
    return found == std::end(names) ? "?" : found->second;
}

std::optional<Which> which_from(std::string_view name) {
    for (const auto& [which, its_name] : names)
        if (name == its_name) return which;
    return std::nullopt;
}

bool is_to_be_adopted(const cni::RunningPod& pod, Which which, bool fresh) {
    if (which == Which::none || (fresh && pod.limited())) return false;
    return which == Which::all || pod.by != cni::LimitedBy::nobody;
}

Result<AttachRequest> request_for(const cni::RunningPod& pod) {
    // As the plugin would have left it in the spool.
    auto request = request_from_json(cni::print(cni::to_object(pod.request)));
    if (!request) return request.error();
    const bool stock = pod.by == cni::LimitedBy::stock && pod.limited();
    request->running = Running{.stock = stock && !is_calicos(request->host_interfaces)};
    request->opened.mac = pod.mac;
    // What the stock plugin would not have limited it has not.
    request->strict_interfaces = request->strict_interfaces || stock;
    return request;
}

void RunningPods::start() {
    if (settings_.which == Which::none) return;
    watch_.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (watch_)
        core_.on_readable(watch_.get(), "running pods", [this] { read_events(); });
    else
        log::error(fail_errno(Code::kernel, errno, "inotify").what);
    for (const auto& directory : settings_.directories) {
        (void)watch(directory);
        queue_all(directory, false);
    }
    told_ = entries_.empty();
    // The first pod's runtime makes the directory.
    core_.every(watch_period_usec, "running pods", [this] { watch_new_directories(); });
}

void RunningPods::stop() {
    stopped_ = true;
    entries_.clear();
}

bool RunningPods::watch(const std::string& directory) {
    const int descriptor = ::inotify_add_watch(watch_.get(), directory.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO);
    if (descriptor >= 0) watched_[descriptor] = directory;
    return descriptor >= 0;
}

void RunningPods::watch_new_directories() {
    for (const auto& directory : settings_.directories) {
        const bool known =
            std::any_of(watched_.begin(), watched_.end(), [&](const auto& each) { return each.second == directory; });
        if (!known && watch(directory)) queue_all(directory, true);
    }
}

void RunningPods::read_events() {
    alignas(inotify_event) char buffer[4096];
    for (ssize_t length = 0; (length = ::read(watch_.get(), buffer, sizeof buffer)) > 0;) {
        for (const char* at = buffer; at < buffer + length;) {
            inotify_event event{};
            std::memcpy(&event, at, sizeof event);
            const char* const name = at + sizeof event;
            at = name + event.len;
            if ((event.mask & IN_Q_OVERFLOW) != 0U)
                for (const auto& [descriptor, directory] : watched_) queue_all(directory, true);
            if ((event.mask & IN_IGNORED) != 0U) watched_.erase(event.wd);
            const auto directory = watched_.find(event.wd);
            if (event.len == 0 || directory == watched_.end() || *name == '.') continue;
            queue({.path = concat(directory->second, "/", name), .fresh = true});
        }
    }
}

void RunningPods::queue_all(const std::string& directory, bool fresh) {
    for (const auto& name : files::list(directory)) queue({.path = concat(directory, "/", name), .fresh = fresh});
}

void RunningPods::queue(Entry entry) {
    if (stopped_) return;
    entries_.push_back(std::move(entry));
    if (!busy_) next();
}

void RunningPods::next() {
    busy_ = true;
    // Not here and now: the core thread has others to serve between two entries.
    core_.post_request([this] {
        if (!told_ && (entries_.empty() || entries_.front().fresh)) tell_total();
        busy_ = !entries_.empty();
        if (!busy_) return;
        const auto entry = std::move(entries_.front());
        entries_.pop_front();
        look_at(entry);
    });
}

void RunningPods::look_at(const Entry& entry) {
    const auto& path = entry.path;
    std::error_code ignored;
    const auto status = std::filesystem::status(path, ignored);
    if (!std::filesystem::exists(status)) return next();  // a DEL came first
    if (!std::filesystem::is_regular_file(status)) return pass_over(entry, fail(Code::unsupported, "not a file"), {});
    const auto text = files::read(path, max_entry_bytes);
    if (!text) return text.error().code == Code::not_found ? next() : pass_over(entry, text.error(), {});
    const auto cached = cni::read_cached_result(*text);
    if (!cached) return pass_over(entry, cached.error(), {});
    const auto& identity = cached->identity;
    const auto skip = [this, &entry, &identity](const Error& why) { pass_over(entry, why, fields_of(identity)); };
    if (registry_.find(attachment_id(identity.container_id, identity.interface)) != nullptr) {
        ++total_.known;
        return next();
    }
    const auto pod = cni::running_pod(*cached);
    if (!pod) return skip(pod.error());
    if (!is_to_be_adopted(*pod, settings_.which, entry.fresh)) {
        ++total_.foreign;
        return next();
    }
    if (identity.netns_path.empty())
        return skip(fail(Code::no_device, "neither the entry nor its result names the network namespace"));
    if (::access(identity.netns_path.c_str(), F_OK) != 0) {
        // What another process may not look at (below /proc) is not gone.
        if (errno != ENOENT && errno != ENOTDIR) return skip(fail_errno(Code::kernel, errno, identity.netns_path));
        ++total_.gone;
        log::debug(concat("not adopted: ", path, ": ", identity.netns_path, " is gone"));
        return next();
    }
    for (const auto& problem : pod->problems)
        log::write(log::Level::warning, log::events::annotation_ignored, concat(path, ": ", problem),
                   fields_of(identity));
    auto request = request_for(*pod);
    if (!request) return skip(request.error());
    attach(entry, *std::move(request));
}

void RunningPods::attach(const Entry& entry, AttachRequest request) {
    const auto fields = identity_fields(request, attachment_id(request.container_id, request.interface_name));
    auto netns = open_pod(request.netns_path);
    if (!netns) return pass_over(entry, netns.error(), fields);
    registry_.attach(std::move(request), *std::move(netns), [this, entry, fields](const Result<std::string>& attached) {
        if (!attached && attached.error().code != Code::already_exists)
            return pass_over(entry, attached.error(), fields);
        // Without an id: it asks for no limit, and its interface can have none.
        ++(!attached ? total_.known : attached->empty() ? total_.foreign : total_.adopted);
        next();
    });
}

void RunningPods::pass_over(const Entry& entry, const Error& why, log::Fields fields) {
    ++total_.failed;
    fields.emplace_back("NATRA_FILE", entry.path);
    // Of one that came now its plugin has told natrad what there is to tell.
    log::write(entry.fresh ? log::Level::debug : log::Level::warning, log::events::not_attached,
               concat("not adopted: ", entry.path, ": ", why.what), fields);
    next();
}

void RunningPods::tell_total() {
    told_ = true;
    log::info(concat("pods found running: ", total_.adopted, " adopted, ", total_.known, " known, ", total_.foreign,
                     " not natra's to limit, ", total_.gone, " gone, ", total_.failed, " could not be adopted"));
}

}  // namespace natra::pods
