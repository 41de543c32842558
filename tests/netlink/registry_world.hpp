// SPDX-License-Identifier: Apache-2.0
// A registry over a real engine, and a pod that it can limit: eth0, whose other end is p0.
#pragma once

#include <fcntl.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "daemon/pods/registry.hpp"
#include "tests/netlink/engine_world.hpp"
#include "tests/netlink/folder.hpp"

namespace natra::pods::testing {

class Registries : public datapath::testing::Engines {
protected:
    void SetUp() override {
        Engines::SetUp();
        start();
    }
    void TearDown() override {
        stop();
        Engines::TearDown();
    }
    void stop() {
        worker_.reset();
        registry_.reset();
        core_.reset();
    }
    // Another natrad, which has adopted nothing yet.
    void start() {
        stop();
        restart();
        core_ = std::make_unique<EventLoop>();
        worker_ = std::make_unique<Worker>("kernel-test");
        registry_ = std::make_unique<Registry>(RegistrySettings{.state_dir = states()}, *core_, *worker_, *engine_);
    }
    [[nodiscard]] std::string states() const { return folder_.path() + "/attachments"; }
    [[nodiscard]] std::string record() const { return states() + "/" + id + ".json"; }

    // Does the core's part of what is posted until the condition holds.
    template <class Condition> bool eventually(Condition condition) {
        const char* const factor = std::getenv("NATRA_TIME_FACTOR");
        const int slower = factor == nullptr ? 1 : std::max(1, std::atoi(factor));
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20) * slower;
        while (!condition()) {
            (void)run_due();
            if (std::chrono::steady_clock::now() > deadline) return false;
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return true;
    }
    // Timers, files and what is posted. False if nothing was due.
    bool run_due() {
        bool any = false;
        while (sd_event_run(core_->raw(), 0) > 0) any = true;
        return any;
    }
    // Calls `begin` with a callback, and returns what the callback got.
    template <class Outcome, class Begin> Outcome answer_of(Begin begin) {
        std::optional<Outcome> answer;
        begin([&answer](Outcome outcome) { answer = std::move(outcome); });
        if (eventually([&answer] { return answer.has_value(); })) return *std::move(answer);
        ADD_FAILURE() << "no answer";
        return fail(Error::Code::internal, "no answer");
    }
    void adopt() {
        bool done = false;
        registry_->adopt([&done] { done = true; });
        EXPECT_TRUE(eventually([&done] { return done; }));
    }
    [[nodiscard]] AttachRequest request() const {
        return {.container_id = "pod1",
                .interface_name = "eth0",
                .network = "lab",
                .netns_path = netns_path(),
                .limits = {.ingress = {.rate_bps = rate_bps, .source = limits::Source::runtime},
                           .egress = {.rate_bps = rate_bps, .source = limits::Source::runtime}}};
    }
    Result<std::string> attach(const AttachRequest& request) {
        return answer_of<Result<std::string>>(
            [&](auto done) { registry_->attach(request, UniqueFd(::fcntl(pod_.get(), F_DUPFD_CLOEXEC, 3)), done); });
    }
    Result<void> set_limits(const Override& changes) {
        return answer_of<Result<void>>([&](auto done) { registry_->set_limits(id, changes, "the test", done); });
    }
    Result<void> detach() {
        return answer_of<Result<void>>([&](auto done) {
            registry_->detach({.container_id = "pod1", .interface_name = "eth0", .network = "lab"}, done);
        });
    }
    // As the kernel worker would.
    [[nodiscard]] Result<void> whole() {
        worker_->wait_idle();
        const auto* const pod = registry_->find(id);
        if (pod == nullptr) return fail(Error::Code::not_found, "no attachment ", id);
        return engine_->check(pod->kernel, pod_.get());
    }
    // The rate that is in force, bit/s; 0 if there is none.
    [[nodiscard]] std::uint64_t in_force(datapath::Direction direction) const {
        const auto* const pod = registry_->find(id);
        if (pod == nullptr || !pod->kernel.record.of(direction)) return 0;
        return pod->kernel.record.of(direction)->rate.rate_bps;
    }

    static constexpr std::uint64_t rate_bps = 10'000'000;
    static constexpr const char* id = "pod1__eth0";
    Folder folder_;
    std::unique_ptr<EventLoop> core_;
    std::unique_ptr<Worker> worker_;
    std::unique_ptr<Registry> registry_;
};

}  // namespace natra::pods::testing
