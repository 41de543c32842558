// SPDX-License-Identifier: Apache-2.0
#include "dbus/authority.hpp"

#include <chrono>
#include <map>
#include <string>

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
constexpr std::size_t most_pending_of_user = 8;

using Details = std::map<std::string, std::string>;
using Subject = sdbus::Struct<std::string, std::map<std::string, sdbus::Variant>>;
using Answer = sdbus::Struct<bool, bool, Details>;  // authorized, could be after authentication, details

Error denied(const char* method, uid_t user, const std::string& why) {
    return {Error::Code::access_denied, 0, concat(method, ": user ", user, " may not change limits", why)};
}

// What polkit would let the user do after a password, but did not ask for.
std::string not_asked(bool interaction, const Details& details) {
    if (!interaction)
        return concat(": polkit wants to ask for a password for ", action,
                      ", which this call does not allow (--allow-interactive-authorization)");
    if (details.contains("polkit.dismissed"))
        return concat(": the password that polkit asked for was not given for ", action);
    return concat(": polkit wants to ask for a password for ", action,
                  ", and the caller's session has no agent that would (pkttyagent is one)");
}

Error gone(const char* method) { return {Error::Code::access_denied, 0, concat(method, ": its caller has gone")}; }

}  // namespace

Authority::Authority(sdbus::IConnection& bus, Callers& callers)
    : callers_(callers), polkit_(compat::proxy(bus, polkit_name, polkit_path)) {}

Result<void> Authority::require_root(sdbus::IObject& object, const char* method) {
    const auto caller = callers_.of(compat::current(object));
    if (!caller) return gone(method);
    if (caller->user != 0) return denied(method, caller->user, "");
    return {};
}

Result<void> Authority::require_reader(sdbus::IObject& object, const char* method) {
    const auto caller = callers_.of(compat::current(object));
    if (!caller) return gone(method);
    if (caller->trusted) return {};
    return fail(Error::Code::access_denied, method, ": user ", caller->user,
                " is neither root nor a member of natra's group (api.group)");
}

void Authority::ask(sdbus::IObject& object, const char* method, std::function<void(Result<uid_t>)> then) {
    auto* const call = compat::current(object);
    const auto caller = callers_.of(call);
    if (!caller) return then(gone(method));
    const auto user = caller->user;
    if (user == 0) return then(user);
    if (pending_ >= most_pending)
        return then(fail(Error::Code::unavailable, method, ": ", pending_, " others wait for polkit"));
    if (const auto own = pending_of_.find(user); own != pending_of_.end() && own->second >= most_pending_of_user)
        return then(
            fail(Error::Code::unavailable, method, ": ", own->second, " calls of user ", user, " wait for polkit"));
    // By its unique name: a process id may be somebody else's by the time polkit looks.
    const Subject subject{"system-bus-name", {{"name", sdbus::Variant(std::string(sd_bus_message_get_sender(call)))}}};
    const bool interaction = sd_bus_message_get_allow_interactive_authorization(call) > 0;
    polkit_->callMethodAsync("CheckAuthorization")
        .onInterface(polkit_interface)
        .withTimeout(patience)
        .withArguments(subject, std::string(action), Details(), std::uint32_t{interaction ? 1U : 0U}, std::string())
        .uponReplyInvoke(
            [this, method, user, interaction, then = std::move(then)](compat::AsyncError error, const Answer& answer) {
                --pending_;
                if (--pending_of_[user] == 0) pending_of_.erase(user);
                if (static_cast<bool>(error))
                    then(denied(method, user, concat(": polkit: ", error->getMessage())));
                else if (!answer.get<0>() && answer.get<1>())
                    then(denied(method, user, not_asked(interaction, answer.get<2>())));
                else if (!answer.get<0>())
                    then(denied(method, user, concat(": polkit does not allow it ", action)));
                else
                    then(user);
            });
    ++pending_;
    ++pending_of_[user];
}

}  // namespace natra::dbus
