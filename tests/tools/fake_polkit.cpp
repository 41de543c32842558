// SPDX-License-Identifier: Apache-2.0
// polkit's authority on the bus of DBUS_SYSTEM_BUS_ADDRESS: fake_polkit allow|refuse|ask|no-agent|dismiss. "ask" allows
// where it may ask for a password; "no-agent" finds nothing that asks, and "dismiss" gets no password. Prints "ready",
// then a line for each question: the action, the kind of subject and its name, and "interactive" or "silent". Ends with
// the bus, or when it is told to.
#include <systemd/sd-bus.h>

#include <cstdio>
#include <cstring>

namespace {

bool allow = false;
bool ask = false;
bool no_agent = false;
bool dismiss = false;

extern "C" int check_authorization(sd_bus_message* message, void*, sd_bus_error*) {
    const char* kind = nullptr;
    const char* key = nullptr;
    const char* name = nullptr;
    const char* action = nullptr;
    int r = sd_bus_message_enter_container(message, 'r', "sa{sv}");
    if (r >= 0) r = sd_bus_message_read(message, "s", &kind);
    if (r >= 0) r = sd_bus_message_enter_container(message, 'a', "{sv}");
    if (r >= 0) r = sd_bus_message_read(message, "{sv}", &key, "s", &name);
    if (r >= 0) r = sd_bus_message_exit_container(message);
    if (r >= 0) r = sd_bus_message_exit_container(message);
    if (r >= 0) r = sd_bus_message_read(message, "s", &action);
    uint32_t flags = 0;
    if (r >= 0) r = sd_bus_message_skip(message, "a{ss}");
    if (r >= 0) r = sd_bus_message_read(message, "u", &flags);
    if (r < 0) return r;
    const bool interactive = (flags & 1) != 0;
    std::printf("%s %s %s=%s %s\n", action, kind, key, name, interactive ? "interactive" : "silent");
    std::fflush(stdout);
    const bool yes = allow || (ask && interactive);
    const int challenge = !yes && (ask || no_agent || dismiss) ? 1 : 0;
    if (dismiss && interactive)
        return sd_bus_reply_method_return(message, "(bba{ss})", 0, challenge, 1, "polkit.dismissed", "true");
    return sd_bus_reply_method_return(message, "(bba{ss})", yes ? 1 : 0, challenge, 0);
}

const sd_bus_vtable* methods() {
    static const sd_bus_vtable table[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", check_authorization,
                      SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
    };
    return table;
}

int fail(const char* what, int r) {
    std::fprintf(stderr, "fake_polkit: %s: %s\n", what, std::strerror(-r));
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    allow = std::strcmp(argv[1], "allow") == 0;
    ask = std::strcmp(argv[1], "ask") == 0;
    no_agent = std::strcmp(argv[1], "no-agent") == 0;
    dismiss = std::strcmp(argv[1], "dismiss") == 0;
    sd_bus* bus = nullptr;
    int r = sd_bus_open_system(&bus);
    if (r < 0) return fail("bus", r);
    r = sd_bus_add_object_vtable(bus, nullptr, "/org/freedesktop/PolicyKit1/Authority",
                                 "org.freedesktop.PolicyKit1.Authority", methods(), nullptr);
    if (r < 0) return fail("object", r);
    r = sd_bus_request_name(bus, "org.freedesktop.PolicyKit1", 0);
    if (r < 0) return fail("name", r);
    std::puts("ready");
    std::fflush(stdout);
    for (;;) {
        r = sd_bus_process(bus, nullptr);
        if (r == 0) r = sd_bus_wait(bus, UINT64_MAX);
        if (r < 0) return fail("bus", r);
    }
}
