// SPDX-License-Identifier: Apache-2.0
#include "dbus/modest_call.hpp"

#include <systemd/sd-bus.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace natra::dbus {
namespace {

constexpr int most_arguments = 16;
constexpr int most_entries = 32;
constexpr std::size_t most_characters = 4096;

bool read_string(sd_bus_message* call, char type) {
    const char* text = nullptr;
    return sd_bus_message_read_basic(call, type, &text) > 0 && std::strlen(text) <= most_characters;
}

bool read_value(sd_bus_message* call, char type) {
    if (type == 's' || type == 'o' || type == 'g') return read_string(call, type);
    // Large enough for each of the others.
    std::uint64_t ignored = 0;
    return std::strchr("ybnqiuxtd", type) != nullptr && sd_bus_message_read_basic(call, type, &ignored) > 0;
}

bool read_variant(sd_bus_message* call) {
    const char* contents = nullptr;
    if (sd_bus_message_peek_type(call, nullptr, &contents) <= 0 || contents == nullptr || std::strlen(contents) != 1)
        return false;
    const char type = contents[0];
    return sd_bus_message_enter_container(call, 'v', contents) > 0 && read_value(call, type) &&
           sd_bus_message_exit_container(call) >= 0;
}

bool read_dictionary(sd_bus_message* call) {
    if (sd_bus_message_enter_container(call, 'a', "{sv}") <= 0) return false;
    for (int entries = 0;; ++entries) {
        const int r = sd_bus_message_enter_container(call, 'e', "sv");
        if (r == 0) return sd_bus_message_exit_container(call) >= 0;
        const bool read = r > 0 && entries < most_entries && read_string(call, 's') && read_variant(call) &&
                          sd_bus_message_exit_container(call) >= 0;
        if (!read) return false;
    }
}

// a(ss)
bool read_pairs(sd_bus_message* call) {
    if (sd_bus_message_enter_container(call, 'a', "(ss)") <= 0) return false;
    for (int entries = 0;; ++entries) {
        const int r = sd_bus_message_enter_container(call, 'r', "ss");
        if (r == 0) return sd_bus_message_exit_container(call) >= 0;
        const bool read = r > 0 && entries < most_entries && read_string(call, 's') && read_string(call, 's') &&
                          sd_bus_message_exit_container(call) >= 0;
        if (!read) return false;
    }
}

bool read_array(sd_bus_message* call, const char* contents) {
    if (std::strcmp(contents, "{sv}") == 0) return read_dictionary(call);
    return std::strcmp(contents, "(ss)") == 0 && read_pairs(call);
}

bool read_all(sd_bus_message* call) {
    for (int arguments = 0;; ++arguments) {
        char type = 0;
        const char* contents = nullptr;
        const int r = sd_bus_message_peek_type(call, &type, &contents);
        if (r <= 0) return r == 0;
        if (arguments == most_arguments) return false;
        const bool read = type == 'a'   ? read_array(call, contents)
                          : type == 'v' ? read_variant(call)
                                        : read_value(call, type);
        if (!read) return false;
    }
}

}  // namespace

bool is_modest(sd_bus_message* call) {
    const bool modest = read_all(call);
    return sd_bus_message_rewind(call, 1) >= 0 && modest;
}

}  // namespace natra::dbus
