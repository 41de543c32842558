// SPDX-License-Identifier: Apache-2.0
// Who may change pods' limits: root at once, others when polkit allows them io.natra.natrad.manage-limits.
#pragma once

#include <sdbus-c++/sdbus-c++.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "daemon/util/error.hpp"
#include "dbus/callers.hpp"

namespace natra::dbus {

// What a user may call is the bus policy's matter first; a private bus has none.
class Authority {
public:
    // callers must outlive it.
    Authority(sdbus::IConnection& bus, Callers& callers);

    // Code::access_denied if the caller of the method that `object` is answering is not root.
    Result<void> require_root(sdbus::IObject& object, const char* method);

    // Code::access_denied if the caller is neither root nor a member of natra's group: the rule of the REST socket, for
    // what shows with whom pods talk.
    Result<void> require_reader(sdbus::IObject& object, const char* method);

    // Calls `then`, which must not throw, once with the user's id: for root before it returns, for others when polkit
    // has answered, which may take as long as somebody takes to type a password, where the call allows to ask for one
    // (D-Bus' flag ALLOW_INTERACTIVE_AUTHORIZATION). Code::access_denied names the method
    // and the user; Code::unavailable: too many wait for polkit already, of this user or of all.
    void ask(sdbus::IObject& object, const char* method, std::function<void(Result<uid_t>)> then);

private:
    Callers& callers_;
    std::size_t pending_ = 0;  // questions to polkit
    std::map<uid_t, std::size_t> pending_of_;
    std::unique_ptr<sdbus::IProxy> polkit_;
};

}  // namespace natra::dbus
