// SPDX-License-Identifier: Apache-2.0
// Frames without end, faster than a limit lets through.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/netlink/wire.hpp"

namespace natra::datapath::testing {

// Sends from construction until stop(), and receives meanwhile.
class Flood {
public:
    Flood(Wire wire, int frames_per_ms) : wire_(std::move(wire)), frames_per_ms_(frames_per_ms) {}
    ~Flood() { stop(); }
    Flood(const Flood&) = delete;
    Flood& operator=(const Flood&) = delete;

    void stop() {
        stop_ = true;
        if (sender_.joinable()) sender_.join();
        if (receiver_.joinable()) receiver_.join();
    }
    // Frames that have arrived.
    [[nodiscard]] int received() const { return received_; }

private:
    void send() {
        auto next = std::chrono::steady_clock::now();
        while (!stop_) {
            wire_.send_what_passes(frames_per_ms_);
            std::this_thread::sleep_until(next += std::chrono::milliseconds(1));
        }
    }
    void receive() {
        constexpr int patience_ms = 300;
        while (!stop_) received_ += wire_.receive(1, patience_ms);
    }

    Wire wire_;
    const int frames_per_ms_;
    std::atomic<bool> stop_{false};
    std::atomic<int> received_{0};
    std::thread receiver_{[this] { receive(); }};
    std::thread sender_{[this] { send(); }};
};

}  // namespace natra::datapath::testing
