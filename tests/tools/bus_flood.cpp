// SPDX-License-Identifier: Apache-2.0
// Keeps natrad's D-Bus interface busy: natra-bus-flood objects|changes|large|silent SECONDS [PATH]. One connection to
// the bus of DBUS_SYSTEM_BUS_ADDRESS. "objects": GetManagedObjects, 32 of them unanswered at any time; "changes": the
// same with SetLimits of the attachment PATH; "large": SetLimits of 20 000 keys; "silent": GetManagedObjects that want
// no answer, as fast as the bus takes them. Ends with a line of JSON: how many calls were sent, answered and refused,
// and the first refusal's name.
#include <systemd/sd-bus.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* service = "io.natra.Natrad1";
constexpr int in_flight = 32;

struct Flood {
    sd_bus* bus = nullptr;
    bool silent = false;
    const char* path = nullptr;  // of the attachment to change; absent: GetManagedObjects
    int keys = 1;                // of the change
    int waiting = 0;
    std::uint64_t sent = 0;
    std::uint64_t answered = 0;
    std::uint64_t refused = 0;
    std::string refusal;
};

extern "C" int on_answer(sd_bus_message* answer, void* data, sd_bus_error*) {
    auto& flood = *static_cast<Flood*>(data);
    --flood.waiting;
    const auto* const error = sd_bus_message_get_error(answer);
    ++(error == nullptr ? flood.answered : flood.refused);
    if (error != nullptr && flood.refusal.empty()) flood.refusal = error->name;
    return 1;
}

int append_keys(sd_bus_message* call, int keys) {
    int r = sd_bus_message_open_container(call, 'a', "{sv}");
    for (int i = 0; i < keys && r >= 0; ++i)
        r = sd_bus_message_append(call, "{sv}", i == 0 ? "IngressRate" : std::to_string(i).c_str(), "t",
                                  UINT64_C(1000000));
    return r < 0 ? r : sd_bus_message_close_container(call);
}

int send_one(Flood& flood) {
    sd_bus_message* call = nullptr;
    int r = flood.path == nullptr
                ? sd_bus_message_new_method_call(flood.bus, &call, service, "/io/natra/Natrad1",
                                                 "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
                : sd_bus_message_new_method_call(flood.bus, &call, service, flood.path, "io.natra.Natrad1.Attachment",
                                                 "SetLimits");
    if (r >= 0 && flood.path != nullptr) r = append_keys(call, flood.keys);
    if (r >= 0 && flood.silent) r = sd_bus_message_set_expect_reply(call, 0);
    if (r >= 0)
        r = flood.silent ? sd_bus_send(flood.bus, call, nullptr)
                         : sd_bus_call_async(flood.bus, nullptr, call, on_answer, &flood, 0);
    sd_bus_message_unref(call);
    if (r < 0) return r;
    ++flood.sent;
    if (!flood.silent) ++flood.waiting;
    return flood.silent ? sd_bus_flush(flood.bus) : r;
}

int run(Flood& flood, Clock::time_point end) {
    while (Clock::now() < end) {
        while (flood.silent ? Clock::now() < end : flood.waiting < in_flight)
            if (const int r = send_one(flood); r < 0) return r;
        int r = sd_bus_process(flood.bus, nullptr);
        if (r == 0) r = sd_bus_wait(flood.bus, 10'000);
        if (r < 0) return r;
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) return 2;
    Flood flood;
    flood.silent = std::strcmp(argv[1], "silent") == 0;
    const bool large = std::strcmp(argv[1], "large") == 0;
    if ((large || std::strcmp(argv[1], "changes") == 0) && argc == 4) flood.path = argv[3];
    if (large) flood.keys = 20'000;
    int r = sd_bus_open_system(&flood.bus);
    if (r >= 0) r = run(flood, Clock::now() + std::chrono::seconds(std::atoi(argv[2])));
    sd_bus_unref(flood.bus);
    if (r < 0) {
        std::fprintf(stderr, "natra-bus-flood: %s\n", std::strerror(-r));
        return 1;
    }
    std::printf("{\"sent\": %llu, \"answered\": %llu, \"refused\": %llu, \"refusal\": \"%s\"}\n",
                static_cast<unsigned long long>(flood.sent), static_cast<unsigned long long>(flood.answered),
                static_cast<unsigned long long>(flood.refused), flood.refusal.c_str());
    return 0;
}
