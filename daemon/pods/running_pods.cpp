// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/running_pods.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
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

bool is_to_be_adopted(const cni::RunningPod& pod, Which which) {
    if (which == Which::none || !pod.limited()) return false;
    return which == Which::all || pod.by != cni::LimitedBy::nobody;
}

Result<AttachRequest> request_for(const cni::RunningPod& pod) {
    // As the plugin would have left it in the spool.
    auto request = request_from_json(cni::print(cni::to_object(pod.request)));
    if (!request) return request.error();
    const bool stock = pod.by == cni::LimitedBy::stock;
    request->running = Running{.stock = stock && !is_calicos(request->host_interfaces)};
    request->opened.mac = pod.mac;
    // What the stock plugin would not have limited it has not.
    request->strict_interfaces = request->strict_interfaces || stock;
    return request;
}

void RunningPods::start() {
    if (settings_.which == Which::none) return;
    for (const auto& directory : settings_.directories)
        for (const auto& name : files::list(directory)) paths_.push_back(concat(directory, "/", name));
    if (!paths_.empty()) next();
}

void RunningPods::next() {
    // Not here and now: the core thread has others to serve between two entries.
    core_.post_request([this] {
        if (paths_.empty()) return tell_total();
        const auto path = std::move(paths_.front());
        paths_.pop_front();
        look_at(path);
    });
}

void RunningPods::look_at(const std::string& path) {
    std::error_code ignored;
    const auto status = std::filesystem::status(path, ignored);
    if (!std::filesystem::exists(status)) return next();  // a DEL came first
    if (!std::filesystem::is_regular_file(status)) return pass_over(path, fail(Code::unsupported, "not a file"), {});
    const auto text = files::read(path, max_entry_bytes);
    if (!text) return text.error().code == Code::not_found ? next() : pass_over(path, text.error(), {});
    const auto cached = cni::read_cached_result(*text);
    if (!cached) return pass_over(path, cached.error(), {});
    const auto& identity = cached->identity;
    const auto skip = [this, &path, &identity](const Error& why) { pass_over(path, why, fields_of(identity)); };
    if (registry_.find(attachment_id(identity.container_id, identity.interface)) != nullptr) {
        ++total_.known;
        return next();
    }
    const auto pod = cni::running_pod(*cached);
    if (!pod) return skip(pod.error());
    if (!is_to_be_adopted(*pod, settings_.which)) {
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
    attach(path, *std::move(request));
}

void RunningPods::attach(const std::string& path, AttachRequest request) {
    const auto fields = identity_fields(request, attachment_id(request.container_id, request.interface_name));
    auto netns = open_pod(request.netns_path);
    if (!netns) return pass_over(path, netns.error(), fields);
    registry_.attach(std::move(request), *std::move(netns), [this, path, fields](const Result<std::string>& attached) {
        if (!attached && attached.error().code != Code::already_exists)
            return pass_over(path, attached.error(), fields);
        ++(attached ? total_.adopted : total_.known);
        next();
    });
}

void RunningPods::pass_over(const std::string& path, const Error& why, log::Fields fields) {
    ++total_.failed;
    fields.emplace_back("NATRA_FILE", path);
    log::write(log::Level::warning, log::events::not_attached, concat("not adopted: ", path, ": ", why.what), fields);
    next();
}

void RunningPods::tell_total() const {
    log::info(concat("pods found running: ", total_.adopted, " adopted, ", total_.known, " known, ", total_.foreign,
                     " not natra's to limit, ", total_.gone, " gone, ", total_.failed, " could not be adopted"));
}

}  // namespace natra::pods
