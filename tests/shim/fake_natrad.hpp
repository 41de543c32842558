// SPDX-License-Identifier: Apache-2.0
// A natrad that does what a test tells it and remembers what it was asked.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

struct sd_bus;
struct sd_bus_message;

namespace natra::shim {

class FakeNatrad {
public:
    enum class Behaviour {
        answer,      // success
        refuse,      // with `error` and `text`
        hang,        // no answer, ever
        disconnect,  // leaves the bus with the call in hand
    };

    struct Call {
        std::string method;
        std::uint64_t netns_inode = 0;               // of the descriptor that came along
        std::map<std::string, std::string> request;  // values as text: "s:net", "t:1000", "as:a,b", "a{ss}:k=v"
        std::vector<std::string> arguments;          // Detach's; CollectGarbage's: network, "container/interface"...
    };

    explicit FakeNatrad(const std::string& address, Behaviour behaviour = Behaviour::answer, std::string error = "",
                        std::string text = "");
    ~FakeNatrad();
    FakeNatrad(const FakeNatrad&) = delete;
    FakeNatrad& operator=(const FakeNatrad&) = delete;

    [[nodiscard]] std::vector<Call> calls() const;

    // For the bus's thread alone: a method call arrived.
    int handle(sd_bus_message* message);

private:
    void serve();

    const Behaviour behaviour_;
    const std::string error_;
    const std::string text_;
    sd_bus* bus_ = nullptr;
    std::atomic<bool> stop_{false};
    mutable std::mutex mutex_;  // guards calls_
    std::vector<Call> calls_;
    std::thread thread_;
};

}  // namespace natra::shim
