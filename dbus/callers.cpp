// SPDX-License-Identifier: Apache-2.0
#include "dbus/callers.hpp"

#include <grp.h>
#include <systemd/sd-bus.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

namespace natra::dbus {
namespace {

constexpr const char* daemon_name = "org.freedesktop.DBus";
constexpr std::size_t most_known = 4096;
constexpr std::uint64_t longest_wait_us = 500'000;

std::optional<gid_t> id_of(const std::string& group) {
    const auto* const found = group.empty() ? nullptr : ::getgrnam(group.c_str());
    return found == nullptr ? std::optional<gid_t>() : found->gr_gid;
}

struct Unref {
    void operator()(sd_bus_message* message) const noexcept { sd_bus_message_unref(message); }
};
using Message = std::unique_ptr<sd_bus_message, Unref>;

struct Credentials {
    std::optional<uid_t> user;
    bool in_group = false;
};

int read_groups(sd_bus_message* from, gid_t group, bool& found) {
    if (const int r = sd_bus_message_enter_container(from, 'v', "au"); r < 0) return r;
    const void* data = nullptr;
    std::size_t bytes = 0;
    if (const int r = sd_bus_message_read_array(from, 'u', &data, &bytes); r < 0) return r;
    const std::span groups(static_cast<const std::uint32_t*>(data), bytes / sizeof(std::uint32_t));
    found = std::find(groups.begin(), groups.end(), group) != groups.end();
    return sd_bus_message_exit_container(from);
}

int read_one(sd_bus_message* from, std::optional<gid_t> group, Credentials& out) {
    const char* key = nullptr;
    if (const int r = sd_bus_message_read(from, "s", &key); r < 0) return r;
    if (group && std::strcmp(key, "UnixGroupIDs") == 0) return read_groups(from, *group, out.in_group);
    if (std::strcmp(key, "UnixUserID") != 0) return sd_bus_message_skip(from, "v");
    std::uint32_t user = 0;
    const int r = sd_bus_message_read(from, "v", "u", &user);
    if (r >= 0) out.user = user;
    return r;
}

// a{sv}
int read_all(sd_bus_message* from, std::optional<gid_t> group, Credentials& out) {
    int r = sd_bus_message_enter_container(from, 'a', "{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(from, 'e', "sv")) > 0) {
        r = read_one(from, group, out);
        if (r >= 0) r = sd_bus_message_exit_container(from);
    }
    return r;
}

}  // namespace

Callers::Callers(const std::string& group) : group_(id_of(group)) {}

std::optional<Caller> Callers::of(sd_bus_message* message) {
    const char* const name = sd_bus_message_get_sender(message);
    if (name == nullptr) return std::nullopt;
    if (const auto found = known_.find(name); found != known_.end()) return found->second;
    const auto caller = ask(message, name);
    if (!caller) return caller;
    if (known_.size() >= most_known) known_.clear();
    known_.emplace(name, *caller);
    return caller;
}

std::optional<Caller> Callers::ask(sd_bus_message* message, const char* name) const {
    auto* const bus = sd_bus_message_get_bus(message);
    sd_bus_message* raw = nullptr;
    int r = sd_bus_message_new_method_call(bus, &raw, daemon_name, "/org/freedesktop/DBus", daemon_name,
                                           "GetConnectionCredentials");
    const Message question(raw);
    raw = nullptr;
    if (r >= 0) r = sd_bus_message_append(question.get(), "s", name);
    // The core thread stands still meanwhile.
    if (r >= 0) r = sd_bus_call(bus, question.get(), longest_wait_us, nullptr, &raw);
    const Message answer(raw);
    Credentials found;
    if (r >= 0) r = read_all(answer.get(), group_, found);
    if (r < 0 || !found.user) return std::nullopt;
    return Caller{.user = *found.user, .trusted = *found.user == 0 || found.in_group};
}

}  // namespace natra::dbus
