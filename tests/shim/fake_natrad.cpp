// SPDX-License-Identifier: Apache-2.0
#include "tests/shim/fake_natrad.hpp"

#include <sys/stat.h>
#include <systemd/sd-bus.h>

#include <stdexcept>
#include <system_error>

namespace natra::shim {
namespace {

constexpr const char* object_path = "/io/natra/Natrad1";
constexpr const char* manager = "io.natra.Natrad1.Manager";
constexpr std::uint64_t tick_usec = 20'000;

void require(int r, const char* what) {
    if (r < 0) throw std::system_error(-r, std::generic_category(), what);
}

extern "C" int on_call(sd_bus_message* message, void* userdata, sd_bus_error*) {
    return static_cast<FakeNatrad*>(userdata)->handle(message);
}

const sd_bus_vtable* methods() {
    static const sd_bus_vtable table[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("Attach", "ha{sv}", "o", on_call, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Check", "ha{sv}", "", on_call, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Detach", "sss", "", on_call, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("CollectGarbage", "sa(ss)", "as", on_call, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Status", "", "a{sv}", on_call, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
    };
    return table;
}

// A variant as "type:value".
std::string read_variant(sd_bus_message* message) {
    const char* type = nullptr;
    require(sd_bus_message_peek_type(message, nullptr, &type), "peek");
    std::string out = std::string(type) + ":";
    require(sd_bus_message_enter_container(message, 'v', type), "enter variant");
    if (*type == 's') {
        const char* text = nullptr;
        require(sd_bus_message_read_basic(message, 's', &text), "s");
        out += text;
    } else if (*type == 'b') {
        int flag = 0;
        require(sd_bus_message_read_basic(message, 'b', &flag), "b");
        out += flag != 0 ? "true" : "false";
    } else if (*type == 't') {
        std::uint64_t number = 0;
        require(sd_bus_message_read_basic(message, 't', &number), "t");
        out += std::to_string(number);
    } else if (std::string_view(type) == "a{ss}") {
        require(sd_bus_message_enter_container(message, 'a', "{ss}"), "a{ss}");
        const char* key = nullptr;
        const char* text = nullptr;
        for (bool first = true; sd_bus_message_read(message, "{ss}", &key, &text) > 0; first = false)
            out += std::string(first ? "" : ",") + key + "=" + text;
        require(sd_bus_message_exit_container(message), "leave a{ss}");
    } else {
        require(sd_bus_message_enter_container(message, 'a', "s"), "as");
        const char* text = nullptr;
        for (bool first = true; sd_bus_message_read_basic(message, 's', &text) > 0; first = false) {
            if (!first) out += ",";
            out += text;
        }
        require(sd_bus_message_exit_container(message), "leave as");
    }
    require(sd_bus_message_exit_container(message), "leave variant");
    return out;
}

void read_request(sd_bus_message* message, FakeNatrad::Call& call) {
    int fd = -1;  // the message's own
    require(sd_bus_message_read_basic(message, 'h', &fd), "h");
    struct stat status {};
    if (::fstat(fd, &status) == 0) call.netns_inode = status.st_ino;
    require(sd_bus_message_enter_container(message, 'a', "{sv}"), "a{sv}");
    while (sd_bus_message_enter_container(message, 'e', "sv") > 0) {
        const char* key = nullptr;
        require(sd_bus_message_read_basic(message, 's', &key), "key");
        call.request[key] = read_variant(message);
        require(sd_bus_message_exit_container(message), "leave entry");
    }
    require(sd_bus_message_exit_container(message), "leave a{sv}");
}

FakeNatrad::Call read_call(sd_bus_message* message) {
    FakeNatrad::Call call;
    call.method = sd_bus_message_get_member(message);
    if (call.method == "Attach" || call.method == "Check") read_request(message, call);
    if (call.method == "Detach") {
        const char* id = nullptr;
        const char* interface = nullptr;
        const char* network = nullptr;
        require(sd_bus_message_read(message, "sss", &id, &interface, &network), "sss");
        call.arguments = {id, interface, network};
    }
    if (call.method == "CollectGarbage") {
        const char* network = nullptr;
        require(sd_bus_message_read_basic(message, 's', &network), "s");
        call.arguments = {network};
        require(sd_bus_message_enter_container(message, 'a', "(ss)"), "a(ss)");
        const char* id = nullptr;
        const char* interface = nullptr;
        while (sd_bus_message_read(message, "(ss)", &id, &interface) > 0)
            call.arguments.push_back(std::string(id) + "/" + interface);
        require(sd_bus_message_exit_container(message), "leave a(ss)");
    }
    return call;
}

}  // namespace

FakeNatrad::FakeNatrad(const std::string& address, Behaviour behaviour, std::string error, std::string text)
    : behaviour_(behaviour), error_(std::move(error)), text_(std::move(text)) {
    require(sd_bus_new(&bus_), "sd_bus_new");
    require(sd_bus_set_address(bus_, address.c_str()), "address");
    require(sd_bus_set_bus_client(bus_, 1), "client");
    require(sd_bus_start(bus_), "start");
    require(sd_bus_add_object_vtable(bus_, nullptr, object_path, manager, methods(), this), "vtable");
    require(sd_bus_request_name(bus_, "io.natra.Natrad1", 0), "name");
    thread_ = std::thread([this] { serve(); });
}

FakeNatrad::~FakeNatrad() {
    stop_ = true;
    thread_.join();
    sd_bus_close_unref(bus_);
}

std::vector<FakeNatrad::Call> FakeNatrad::calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
}

void FakeNatrad::serve() {
    while (!stop_) {
        const int r = sd_bus_process(bus_, nullptr);
        if (r < 0) return;
        if (r == 0) sd_bus_wait(bus_, tick_usec);
    }
}

int FakeNatrad::handle(sd_bus_message* message) {
    auto call = read_call(message);
    const auto method = call.method;
    {
        const std::lock_guard lock(mutex_);
        calls_.push_back(std::move(call));
    }
    switch (behaviour_) {
    case Behaviour::hang: return 1;
    case Behaviour::disconnect: sd_bus_close(bus_); return 1;
    case Behaviour::refuse: return sd_bus_reply_method_errorf(message, error_.c_str(), "%s", text_.c_str());
    case Behaviour::answer: break;
    }
    if (method == "Attach") return sd_bus_reply_method_return(message, "o", "/io/natra/Natrad1/attachment/x");
    if (method == "CollectGarbage") return sd_bus_reply_method_return(message, "as", 0);
    if (method == "Status") return sd_bus_reply_method_return(message, "a{sv}", 0);
    return sd_bus_reply_method_return(message, "");
}

}  // namespace natra::shim
