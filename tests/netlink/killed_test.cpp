// SPDX-License-Identifier: Apache-2.0
// natrad is killed at every point of what it does. The next one leaves nothing behind that nobody made use of.
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "tests/netlink/faults.hpp"
#include "tests/netlink/registry_world.hpp"

namespace natra::pods::testing {
namespace {

using datapath::Attached;
using datapath::AttachMode;
using datapath::Direction;
using datapath::Engine;
using datapath::Rates;
using datapath::Shaper;
using datapath::Wish;
using datapath::testing::die_at_request;
using datapath::testing::run;

class Killed : public datapath::testing::Engines {
protected:
    void SetUp() override {
        Engines::SetUp();
        if (!engine_->features().htb) GTEST_SKIP() << "this kernel has no sch_htb";
    }
    static Wish wish(Shaper shaper, AttachMode mode = AttachMode::clsact) {
        return {.attach_mode = mode, .shaper = shaper, .attach_mode_by = "the test", .shaper_by = "the test"};
    }
    Attached limit(const Rates& rates, const Wish& wish) {
        auto attached = engine_->attach({.id = "pod1",
                                         .netns_fd = pod_.get(),
                                         .netns_path = netns_path(),
                                         .device = "eth0",
                                         .rates = rates,
                                         .wish = wish});
        EXPECT_TRUE(attached) << attached.error().what;
        return attached ? *std::move(attached) : Attached{};
    }
    // What others' tools see of both devices.
    [[nodiscard]] std::string traces() const {
        std::string out;
        for (const char* where : {"", " ingress", " egress"}) {
            const std::string kind = *where == '\0' ? "qdisc" : "filter";
            out += in_pod("tc " + kind + " show dev eth0" + where) + run("tc " + kind + " show dev p0" + where);
        }
        return out;
    }
    // Another natrad, which adopts the attachment, does something, and dies instead of its nth request. False if it got
    // to the end before.
    bool killed_at(int nth, const datapath::AttachmentRecord& record,
                   const std::function<void(Engine&, Attached&)>& act) {
        const auto child = ::fork();
        if (child == 0) {
            auto engine = Engine::create({.pin_root = pins_.path("pins"), .pool_size = 0});
            if (!engine) ::_exit(2);
            auto attached = (*engine)->adopt(record);
            if (!attached) ::_exit(2);
            die_at_request(nth);
            act(**engine, *attached);
            ::_exit(1);
        }
        int status = 0;
        EXPECT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) < 2) << status;
        return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    // Attach, die, start again, detach: as it was before.
    void expect_no_traces(const Rates& rates, const Wish& from, const std::function<void(Engine&, Attached&)>& act) {
        const auto before = traces();
        int points = 0;
        for (bool killed = true; killed; ++points) {
            SCOPED_TRACE(points + 1);
            const auto record = limit(rates, from).record;
            engine_.reset();
            killed = killed_at(points + 1, record, act);
            restart();
            auto adopted = engine_->adopt(record);
            ASSERT_OK(adopted);
            EXPECT_OK(engine_->check(*adopted, pod_.get()));
            EXPECT_EQ(adopted->record.rates(), record.rates());
            engine_->confirm_switch("pod1");
            EXPECT_OK(engine_->detach(*adopted));
            ASSERT_EQ(traces(), before);
            ASSERT_LT(points, 1000);
        }
        EXPECT_GT(points, 5) << "it did little";
    }
    static std::function<void(Engine&, Attached&)> switching(const Wish& to) {
        return [to](Engine& engine, Attached& attached) { (void)engine.switch_to(attached, to, {}); };
    }

    const Rates both_{.ingress = datapath::testing::rate, .egress = datapath::testing::rate};
    const Rates egress_{.ingress = {}, .egress = datapath::testing::rate};
};

TEST_F(Killed, WhileEgressMovesIntoThePod) {
    expect_no_traces(egress_, wish(Shaper::police), switching(wish(Shaper::htb)));
}

TEST_F(Killed, WhileEgressMovesOutOfThePod) {
    expect_no_traces(egress_, wish(Shaper::htb), switching(wish(Shaper::police)));
}

TEST_F(Killed, WhileBothDirectionsMove) { expect_no_traces(both_, wish(Shaper::police), switching(wish(Shaper::htb))); }

TEST_F(Killed, WhileProgramsMoveToClsactAndBack) {
    if (!engine_->features().tcx) GTEST_SKIP() << "this kernel has no tcx";
    const auto on_tcx = wish(Shaper::htb, AttachMode::tcx);
    expect_no_traces(both_, on_tcx, switching(wish(Shaper::htb)));
    expect_no_traces(both_, wish(Shaper::htb), switching(on_tcx));
}

TEST_F(Killed, WhilePacketsPastTheHostSideAreMet) {
    expect_no_traces(both_, wish(Shaper::htb), [](Engine& engine, Attached& attached) {
        (void)engine.police_inside(attached, "the test says so");
    });
}

// What an administrator made beforehand is theirs, empty or not.
TEST_F(Killed, OthersClsactStays) {
    if (!engine_->features().tcx) GTEST_SKIP() << "this kernel has no tcx";
    in_pod("tc qdisc add dev eth0 clsact");
    expect_no_traces(egress_, wish(Shaper::police, AttachMode::tcx), switching(wish(Shaper::htb, AttachMode::tcx)));
    const auto record = limit(egress_, wish(Shaper::police)).record;
    engine_.reset();
    for (int nth = 1; killed_at(nth, record, switching(wish(Shaper::htb))); ++nth) {
        restart();
        auto adopted = engine_->adopt(record);
        ASSERT_OK(adopted);
        engine_->confirm_switch("pod1");
        engine_.reset();
        ASSERT_NE(in_pod("tc qdisc show dev eth0").find("clsact"), std::string::npos) << nth;
    }
    restart();
}

// Its record knows nothing of it, so nobody could lift it.
TEST_F(Killed, WhileADirectionIsAdded) {
    const Rates ingress{.ingress = datapath::testing::rate, .egress = {}};
    const auto record = limit(ingress, wish(Shaper::htb)).record;
    engine_.reset();
    const auto before = in_pod("tc filter show dev eth0 egress; tc qdisc show dev eth0 root");
    const auto add = [&](Engine& engine, Attached& attached) { (void)engine.change(attached, both_); };
    int nth = 1;
    for (bool killed = true; killed; ++nth) {
        killed = killed_at(nth, record, add);
        restart();
        ASSERT_OK(engine_->adopt(record));
        engine_.reset();
        ASSERT_EQ(in_pod("tc filter show dev eth0 egress; tc qdisc show dev eth0 root"), before) << nth;
    }
    EXPECT_GT(nth, 5);
    restart();
}

class KilledRegistry : public Registries {};

TEST_F(KilledRegistry, WhatItDidNotFinishWritingGoes) {
    namespace fs = std::filesystem;
    fs::create_directories(states());
    std::ofstream(states() + "/.pod1__eth0.json.natra-aB3dE6") << "{";
    std::ofstream(states() + "/.pod1__eth0.json.bak") << "an administrator's";
    adopt();
    EXPECT_FALSE(fs::exists(states() + "/.pod1__eth0.json.natra-aB3dE6"));
    EXPECT_TRUE(fs::exists(states() + "/.pod1__eth0.json.bak"));
}

}  // namespace
}  // namespace natra::pods::testing
