// SPDX-License-Identifier: Apache-2.0
#include "dbus/authority.hpp"

#include <chrono>
#include <map>

#include "dbus/sdbus_compat.hpp"

namespace natra::dbus {
namespace {

constexpr const char* action = "io.natra.natrad.manage-limits";
constexpr const char* polkit_name = "org.freedesktop.PolicyKit1";
constexpr const char* polkit_path = "/org/freedesktop/PolicyKit1/Authority";
constexpr const char* polkit_interface = "org.freedesktop.PolicyKit1.Authority";
// The longest that somebody types a password.
constexpr std::chrono::seconds patience{120};
// A bus gives 128 answers on the way to one connection, as a rule: nobody's agents may use them all up.
constexpr std::size_t most_pending = 32;

using Details = std::map<std::string, std::string>;
using Subject = sdbus::Struct<std::string, std::map<std::string, sdbus::Variant>>;
using Answer = sdbus::Struct<bool, bool, Details>;  // authorized, could be after authentication, details

Error denied(const char* method, uid_t user, const std::string& why) {
    return {Error::Code::access_denied, 0, concat(method, ": user ", user, " may not change limits", why)};
}

}  // namespace

Authority::Authority(sdbus::IConnection& bus) : polkit_(compat::proxy(bus, polkit_name, polkit_path)) {}

Result<void> Authority::require_root(sdbus::IObject& object, const char* method) {
    const auto user = compat::sender_euid(object);
    if (user != 0) return denied(method, user, "");
    return {};
}

void Authority::ask(sdbus::IObject& object, const char* method, std::function<void(Result<uid_t>)> then) {
    const auto user = compat::sender_euid(object);
    if (user == 0) return then(user);
    if (pending_ >= most_pending)
        return then(fail(Error::Code::unavailable, method, ": ", pending_, " others wait for polkit"));
    // By its unique name: a process id may be somebody else's by the time polkit looks.
    const Subject caller{"system-bus-name", {{"name", sdbus::Variant(compat::sender(object))}}};
    const std::uint32_t allow_interaction = compat::allows_interaction(object) ? 1 : 0;
    polkit_->callMethodAsync("CheckAuthorization")
        .onInterface(polkit_interface)
        .withTimeout(patience)
        .withArguments(caller, std::string(action), Details(), allow_interaction, std::string())
        .uponReplyInvoke([this, method, user, then = std::move(then)](compat::AsyncError error, const Answer& answer) {
            --pending_;
            if (error)
                then(denied(method, user, concat(": polkit: ", error->getMessage())));
            else if (!answer.get<0>() && answer.get<1>())
                then(denied(method, user,
                            concat(": polkit wants to ask for a password for ", action,
                                   ", which this call does not allow (--allow-interactive-authorization)")));
            else if (!answer.get<0>())
                then(denied(method, user, concat(": polkit does not allow it ", action)));
            else
                then(user);
        });
    ++pending_;
}

}  // namespace natra::dbus
