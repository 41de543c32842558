// SPDX-License-Identifier: Apache-2.0
// An engine, and a pod that it can limit.
#pragma once

#include <linux/pkt_sched.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <thread>

#include "daemon/datapath/engine.hpp"
#include "tests/netlink/wire.hpp"
#include "tests/netlink/world.hpp"

namespace natra::datapath::testing {

inline constexpr Rate rate{.rate_bps = 10'000'000};

// A pod: its eth0 is the other end of p0.
class Engines : public World {
protected:
    void SetUp() override {
        World::SetUp();
        pod_ = make_netns();
        in_pod("ip link add eth0 type veth peer name p0 netns " + std::to_string(::getpid()));
        in_pod("ip link set eth0 up");
        run("ip link set p0 up");
        restart();
    }
    // Another natrad, in whose hands everything is that the last one pinned.
    void restart() {
        engine_.reset();
        auto created = Engine::create({.pin_root = pins_.path("pins"), .pool_size = 0});
        ASSERT_OK(created);
        engine_ = *std::move(created);
    }
    std::string in_pod(const std::string& command) const {
        std::string output;
        std::thread([&] {
            ASSERT_EQ(::setns(pod_.get(), CLONE_NEWNET), 0) << std::strerror(errno);
            output = run(command);
        }).join();
        return output;
    }
    [[nodiscard]] std::string netns_path() const {
        return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(pod_.get());
    }
    // Egress only: inside the pod.
    Attached attach() {
        auto attached = engine_->attach({.id = "pod1",
                                         .netns_fd = pod_.get(),
                                         .netns_path = netns_path(),
                                         .device = "eth0",
                                         .rates = {.ingress = {}, .egress = rate}});
        EXPECT_TRUE(attached) << attached.error().what;
        return attached ? *std::move(attached) : Attached{};
    }
    void expect_inside(const Attached& attached) {
        ASSERT_TRUE(attached.record.egress);
        EXPECT_TRUE(attached.record.egress->pod_side);
        EXPECT_FALSE(attached.record.egress->backstop);
        EXPECT_OK(engine_->check(attached, pod_.get()));
        EXPECT_EQ(filters_outside(), 0U);
    }
    // At p0's ingress hook, where egress is policed.
    std::size_t filters_outside() {
        const auto filters = netlink().filters(ifindex("p0"), TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS));
        EXPECT_TRUE(filters) << filters.error().what;
        return filters ? filters->size() : 0;
    }
    // From where the pod's traffic of that direction starts to where it ends.
    Wire wire(Direction direction, Wire::Kind kind = Wire::Kind::own) {
        UniqueFd inside;
        std::thread([&] {
            ASSERT_EQ(::setns(pod_.get(), CLONE_NEWNET), 0) << std::strerror(errno);
            inside = Wire::open(ifindex("eth0"), kind);
        }).join();
        auto outside = Wire::open(ifindex("p0"), kind);
        if (direction == Direction::egress) return {std::move(inside), std::move(outside), kind};
        return {std::move(outside), std::move(inside), kind};
    }
    // Or send_what_passes() would not know it.
    static void tell_what_is_refused(const Attached& attached, Direction direction) {
        auto& instance = *attached.instance(direction);
        auto config = instance.config();
        config.flags &= ~NATRA_F_LOSE;
        instance.configure(config);
    }
    // As the registry does it.
    Result<void> change_drained(Attached& attached, const Rates& rates) {
        drain(attached, engine_->prepare_change(attached, rates));
        return engine_->change(attached, rates);
    }
    Result<void> switch_drained(Attached& attached, const Wish& wish) {
        drain(attached, engine_->prepare_switch(attached, wish));
        return engine_->switch_to(attached, wish, {.attach_mode = true, .shaper = true});
    }
    void drain(const Attached& attached, const Drain& drain) {
        using namespace std::chrono_literals;
        constexpr int looks = 1000;
        for (int i = 0; i < looks; ++i, std::this_thread::sleep_for(2ms)) {
            const auto drained = engine_->drained(attached, drain);
            ASSERT_OK(drained);
            if (*drained) return;
        }
        FAIL() << "something waits still";
    }
    // What waits at the root of the device that sends in that direction, as tc shows it.
    std::uint64_t queued_bytes(Direction direction) const {
        const bool inside = direction == Direction::egress;
        const auto* const command = inside ? "tc -s -j qdisc show dev eth0 root" : "tc -s -j qdisc show dev p0 root";
        const auto shown = nlohmann::json::parse(inside ? in_pod(command) : run(command), nullptr, false);
        EXPECT_TRUE(shown.is_array() && !shown.empty());
        return shown.is_array() && !shown.empty() ? shown.at(0).value("backlog", std::uint64_t{0}) : 0;
    }

    BpfFolder pins_;
    UniqueFd pod_;
    std::unique_ptr<Engine> engine_;
};

}  // namespace natra::datapath::testing
