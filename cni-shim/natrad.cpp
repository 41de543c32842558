// SPDX-License-Identifier: Apache-2.0
#include "cni-shim/natrad.hpp"

#include <systemd/sd-bus.h>

#include <cerrno>
#include <memory>
#include <string_view>
#include <system_error>

namespace natra::shim {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* bus_name = "io.natra.Natrad1";
constexpr const char* object_path = "/io/natra/Natrad1";
constexpr const char* manager = "io.natra.Natrad1.Manager";
constexpr std::string_view own_errors = "io.natra.Error.";

struct CloseBus {
    // Not flushed: nobody waits for a slow bus when the deadline is over.
    void operator()(sd_bus* bus) const { sd_bus_close_unref(bus); }
};
struct DropMessage {
    void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
};
using Bus = std::unique_ptr<sd_bus, CloseBus>;
using Message = std::unique_ptr<sd_bus_message, DropMessage>;

std::string text_of(int negative_errno) { return std::generic_category().message(-negative_errno); }

Answer away(std::string text) { return {.kind = Answer::Kind::away, .error = "", .text = std::move(text)}; }

// Zero when the deadline is over.
std::uint64_t microseconds_until(Clock::time_point deadline) {
    const auto left = std::chrono::duration_cast<std::chrono::microseconds>(deadline - Clock::now()).count();
    return left > 0 ? static_cast<std::uint64_t>(left) : 0;
}

// Lets the bus work until `done`. Negative errno when the connection fails, -ETIMEDOUT at the deadline.
template <class Done> int work_until(sd_bus* bus, Clock::time_point deadline, Done done) {
    while (!done()) {
        int r = sd_bus_process(bus, nullptr);
        if (r > 0) continue;
        if (r == 0) {
            const auto left = microseconds_until(deadline);
            r = left == 0 ? -ETIMEDOUT : sd_bus_wait(bus, left);
        }
        if (r < 0 && r != -EINTR) return r;
    }
    return 0;
}

// Of these, the bus says itself that the call went nowhere.
bool never_delivered(std::string_view error) {
    return error == SD_BUS_ERROR_SERVICE_UNKNOWN || error == SD_BUS_ERROR_NAME_HAS_NO_OWNER ||
           error == SD_BUS_ERROR_ACCESS_DENIED || error.starts_with("org.freedesktop.DBus.Error.Spawn.") ||
           error.starts_with("org.freedesktop.systemd1.");
}

Answer answer_of(sd_bus_message* reply) {
    const sd_bus_error* const error = sd_bus_message_get_error(reply);
    if (error == nullptr) return {.kind = Answer::Kind::done};
    const std::string name = error->name;
    const std::string text = error->message == nullptr ? name : error->message;
    if (name.starts_with(own_errors)) return {.kind = Answer::Kind::refused, .error = name, .text = text};
    auto out = away(concat(name, ": ", text));
    out.may_have_arrived = !never_delivered(name);
    return out;
}

struct Pending {
    bool answered = false;
    Answer answer;
};

extern "C" int on_reply(sd_bus_message* reply, void* userdata, sd_bus_error*) {
    auto& pending = *static_cast<Pending*>(userdata);
    pending.answered = true;
    pending.answer = answer_of(reply);
    return 0;
}

struct Unslot {
    void operator()(sd_bus_slot* slot) const { sd_bus_slot_unref(slot); }
};

int append_variant(sd_bus_message* message, const char* name, const char* type, const void* value) {
    int r = sd_bus_message_open_container(message, 'e', "sv");
    if (r >= 0) r = sd_bus_message_append_basic(message, 's', name);
    if (r >= 0) r = sd_bus_message_open_container(message, 'v', type);
    if (r >= 0) r = sd_bus_message_append_basic(message, *type, value);
    if (r >= 0) r = sd_bus_message_close_container(message);
    return r < 0 ? r : sd_bus_message_close_container(message);
}

int append_list(sd_bus_message* message, const char* name, const std::vector<std::string>& values) {
    int r = sd_bus_message_open_container(message, 'e', "sv");
    if (r >= 0) r = sd_bus_message_append_basic(message, 's', name);
    if (r >= 0) r = sd_bus_message_open_container(message, 'v', "as");
    if (r >= 0) r = sd_bus_message_open_container(message, 'a', "s");
    for (std::size_t i = 0; r >= 0 && i < values.size(); ++i)
        r = sd_bus_message_append_basic(message, 's', values[i].c_str());
    for (int open = 0; r >= 0 && open < 3; ++open) r = sd_bus_message_close_container(message);
    return r;
}

int append_map(sd_bus_message* message, const char* name, const std::map<std::string, std::string>& values) {
    int r = sd_bus_message_open_container(message, 'e', "sv");
    if (r >= 0) r = sd_bus_message_append_basic(message, 's', name);
    if (r >= 0) r = sd_bus_message_open_container(message, 'v', "a{ss}");
    if (r >= 0) r = sd_bus_message_open_container(message, 'a', "{ss}");
    for (auto it = values.begin(); r >= 0 && it != values.end(); ++it)
        r = sd_bus_message_append(message, "{ss}", it->first.c_str(), it->second.c_str());
    for (int open = 0; r >= 0 && open < 3; ++open) r = sd_bus_message_close_container(message);
    return r;
}

// (s, a(ss))
int append_valid(sd_bus_message* message, const std::string& network, const ValidAttachments& valid) {
    int r = sd_bus_message_append_basic(message, 's', network.c_str());
    if (r >= 0) r = sd_bus_message_open_container(message, 'a', "(ss)");
    for (std::size_t i = 0; r >= 0 && i < valid.size(); ++i)
        r = sd_bus_message_append(message, "(ss)", valid[i].first.c_str(), valid[i].second.c_str());
    return r < 0 ? r : sd_bus_message_close_container(message);
}

// (h, a{sv})
int append_request(sd_bus_message* message, int netns, const Request& request) {
    int r = sd_bus_message_append_basic(message, 'h', &netns);
    if (r >= 0) r = sd_bus_message_open_container(message, 'a', "{sv}");
    if (r < 0) return r;
    // The first failure stays.
    const auto keep = [&r](int result) { r = r < 0 ? r : result; };
    visit(request,
          {.text = [&](const char* name,
                       const std::string& value) { keep(append_variant(message, name, "s", value.c_str())); },
           .number = [&](const char* name, std::uint64_t value) { keep(append_variant(message, name, "t", &value)); },
           .flag =
               [&](const char* name, bool value) {
                   const int number = value ? 1 : 0;  // sd-bus takes a boolean as an int
                   keep(append_variant(message, name, "b", &number));
               },
           .list = [&](const char* name,
                       const std::vector<std::string>& value) { keep(append_list(message, name, value)); },
           .map = [&](const char* name,
                      const std::map<std::string, std::string>& value) { keep(append_map(message, name, value)); }});
    return r < 0 ? r : sd_bus_message_close_container(message);
}

}  // namespace

Answer Natrad::call(const char* method, const Append& append) const {
    const auto deadline = Clock::now() + timeout_;
    sd_bus* opened = nullptr;
    if (const int r = sd_bus_open_system(&opened); r < 0) return away(concat("system bus: ", text_of(r)));
    const Bus bus(opened);
    // sd_bus_call() would wait for the connection without a bound.
    if (const int r = work_until(bus.get(), deadline, [&] { return sd_bus_is_ready(bus.get()) > 0; }); r < 0)
        return away(concat("system bus: ", text_of(r)));

    sd_bus_message* made = nullptr;
    int r = sd_bus_message_new_method_call(bus.get(), &made, bus_name, object_path, manager, method);
    const Message message(made);
    if (r >= 0) r = append(message.get());
    if (r < 0) return away(concat(method, ": cannot make the call: ", text_of(r)));

    Pending pending;
    sd_bus_slot* slot = nullptr;
    // The time limit is work_until's.
    r = sd_bus_call_async(bus.get(), &slot, message.get(), on_reply, &pending, UINT64_MAX);
    const std::unique_ptr<sd_bus_slot, Unslot> waiting(slot);
    if (r < 0) return away(concat(method, ": ", text_of(r)));
    r = work_until(bus.get(), deadline, [&] { return pending.answered; });
    if (r < 0) {
        auto out = away(r == -ETIMEDOUT ? concat("no answer within ", timeout_.count(), " ms")
                                        : concat("system bus: ", text_of(r)));
        out.may_have_arrived = true;
        return out;
    }
    return pending.answer;
}

Answer Natrad::attach(int netns, const Request& request) const {
    return call("Attach", [&](sd_bus_message* message) { return append_request(message, netns, request); });
}

Answer Natrad::check(int netns, const Request& request) const {
    return call("Check", [&](sd_bus_message* message) { return append_request(message, netns, request); });
}

Answer Natrad::detach(const std::string& container_id, const std::string& interface, const std::string& network) const {
    return call("Detach", [&](sd_bus_message* message) {
        return sd_bus_message_append(message, "sss", container_id.c_str(), interface.c_str(), network.c_str());
    });
}

Answer Natrad::collect_garbage(const std::string& network, const ValidAttachments& valid) const {
    return call("CollectGarbage", [&](sd_bus_message* message) { return append_valid(message, network, valid); });
}

Answer Natrad::status() const {
    return call("Status", [](sd_bus_message*) { return 0; });
}

}  // namespace natra::shim
