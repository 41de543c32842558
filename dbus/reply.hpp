// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>

#include "dbus/values.hpp"

namespace natra::dbus {

// The answer to an asynchronous method. A caller that is never answered would
// wait for its time-out, so the destructor answers when nobody else did.
template <class... Values> class Reply {
public:
    explicit Reply(sdbus::Result<Values...>&& result)
        : pending_(std::make_unique<sdbus::Result<Values...>>(std::move(result))) {}
    Reply(Reply&&) noexcept = default;
    Reply& operator=(Reply&&) noexcept = default;
    ~Reply() {
        if (pending_) send_error({Error::Code::internal, 0, "natrad gave no answer"});
    }

    void send(const Values&... values) {
        send_with([&](auto& result) { result.returnResults(values...); });
    }
    void send_error(const Error& error) {
        send_with([&](auto& result) { result.returnError(to_bus_error(error)); });
    }

private:
    template <class Send> void send_with(Send send) noexcept {
        const auto result = std::exchange(pending_, nullptr);
        if (!result) return;
        try {
            send(*result);
        } catch (const sdbus::Error&) {
            // The bus is gone, and with it the caller.
        }
    }

    std::unique_ptr<sdbus::Result<Values...>> pending_;
};

// For std::function, which wants copies.
template <class... Values> auto share_reply(sdbus::Result<Values...>&& result) {
    return std::make_shared<Reply<Values...>>(std::move(result));
}

}  // namespace natra::dbus
