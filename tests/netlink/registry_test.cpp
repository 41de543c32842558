// SPDX-License-Identifier: Apache-2.0
// What takes its time for one attachment does not hold the kernel worker.
#include "daemon/pods/registry.hpp"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include "daemon/pods/attachment_id.hpp"
#include "tests/netlink/folder.hpp"
#include "tests/netlink/wire.hpp"
#include "tests/netlink/world.hpp"

namespace natra::pods::testing {
namespace {

using datapath::testing::BpfFolder;
using datapath::testing::make_netns;
using datapath::testing::run;
using datapath::testing::Wire;
using datapath::testing::World;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto longest_turn = 50ms;

// An emulated machine is slower.
int time_factor() {
    const char* const factor = std::getenv("NATRA_TIME_FACTOR");
    return factor == nullptr ? 1 : std::max(1, std::atoi(factor));
}

// How long the threads of this process have waited for a processor: on a busy machine that is in every time taken.
std::chrono::nanoseconds waited_for_processor() {
    std::chrono::nanoseconds all{};
    for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
        std::uint64_t ran_ns = 0;
        std::uint64_t waited_ns = 0;
        std::ifstream(thread.path() / "schedstat") >> ran_ns >> waited_ns;
        all += std::chrono::nanoseconds(waited_ns);
    }
    return all;
}

struct TestPod {
    AttachRequest request;
    UniqueFd netns;
    std::unique_ptr<Wire> wire;  // from the pod
    std::string id;
};

class Turns : public World {
protected:
    void SetUp() override {
        World::SetUp();
        auto created = datapath::Engine::create({.pin_root = pins_.path("pins"), .pool_size = 8});
        ASSERT_TRUE(created) << created.error().what;
        engine_ = *std::move(created);
        if (!engine_->features().htb) GTEST_SKIP() << "this kernel has no sch_htb";
        core_ = std::make_unique<EventLoop>();
        worker_ = std::make_unique<Worker>("kernel-test");
        registry_ =
            std::make_unique<Registry>(RegistrySettings{.state_dir = folder_.path()}, *core_, *worker_, *engine_);
    }
    void TearDown() override {
        worker_.reset();
        World::TearDown();
    }
    // Begins the time that within() is about.
    void start() {
        worker_->wait_idle();
        (void)worker_->take_longest_turn();
        waited_before_ = waited_for_processor();
    }
    [[nodiscard]] std::chrono::nanoseconds within(std::chrono::nanoseconds bound) const {
        return bound * time_factor() + waited_for_processor() - waited_before_;
    }
    // The core's part of what is posted until the condition holds.
    template <class Condition> bool eventually(Condition condition) {
        const auto deadline = Clock::now() + 20s * time_factor();
        while (!condition()) {
            core_->drain();
            if (Clock::now() > deadline) return false;
            std::this_thread::sleep_for(1ms);
        }
        return true;
    }
    // Not attached yet. Whatever it sends belongs to a heavy flow.
    static TestPod make_pod(int number) {
        TestPod pod;
        pod.netns = make_netns();
        const auto outside = "h" + std::to_string(number);
        UniqueFd inside;
        std::thread([&] {
            ASSERT_EQ(::setns(pod.netns.get(), CLONE_NEWNET), 0) << std::strerror(errno);
            run("ip link add eth0 type veth peer name " + outside + " netns " + std::to_string(::getpid()));
            run("ip link set eth0 up");
            inside = Wire::open(ifindex("eth0"));
        }).join();
        run("ip link set " + outside + " up");
        pod.wire = std::make_unique<Wire>(std::move(inside), Wire::open(ifindex(outside)));
        pod.request = {
            .container_id = "pod" + std::to_string(number),
            .interface_name = "eth0",
            .network = "lab",
            .netns_path = concat("/proc/", ::getpid(), "/fd/", pod.netns.get()),
            .limits = {.ingress = {},
                       .egress = {.rate_bps = slow_bps, .source = limits::Source::runtime, .heavy_threshold_bytes = 1}},
            .pins = {.shaper = datapath::Shaper::htb}};
        return pod;
    }
    // Of the call's own time and its answer's.
    Clock::duration attach(TestPod& pod) {
        const auto begin = Clock::now();
        bool done = false;
        registry_->attach(pod.request, UniqueFd(::fcntl(pod.netns.get(), F_DUPFD_CLOEXEC, 3)),
                          [&](const Result<std::string>& id) {
                              EXPECT_TRUE(id) << id.error().what;
                              if (id) pod.id = *id;
                              done = true;
                          });
        EXPECT_TRUE(eventually([&] { return done; }));
        return Clock::now() - begin;
    }
    Clock::duration set_egress(const TestPod& pod, std::uint64_t rate_bps) {
        const auto begin = Clock::now();
        bool done = false;
        lift_or_set(pod, rate_bps, done);
        EXPECT_TRUE(eventually([&] { return done; }));
        return Clock::now() - begin;
    }
    void lift_or_set(const TestPod& pod, std::uint64_t rate_bps, bool& done) {
        Override changes;
        changes.egress.rate_bps = rate_bps;
        registry_->set_limits(pod.id, changes, "the test", [&done](const Result<void>& r) {
            EXPECT_TRUE(r) << r.error().what;
            done = true;
        });
    }
    Clock::duration detach(const TestPod& pod) {
        const auto begin = Clock::now();
        bool done = false;
        registry_->detach({.container_id = pod.request.container_id, .interface_name = "eth0", .network = "lab"},
                          [&](const Result<void>&) { done = true; });
        EXPECT_TRUE(eventually([&] { return done; }));
        EXPECT_EQ(registry_->find(pod.id), nullptr);
        return Clock::now() - begin;
    }

    static constexpr std::uint64_t slow_bps = 20'000;  // a frame of 1000 bytes takes 0.4 s
    std::chrono::nanoseconds waited_before_{};
    BpfFolder pins_;
    Folder folder_;
    std::unique_ptr<datapath::Engine> engine_;
    std::unique_ptr<EventLoop> core_;
    std::unique_ptr<Worker> worker_;
    std::unique_ptr<Registry> registry_;
};

// Each lift takes as long as HTB wants for the last frame that it sent at the old rate.
TEST_F(Turns, LiftsHoldNobodyUp) {
    constexpr int many = 8;
    std::vector<TestPod> pods;
    for (int i = 0; i < many + 2; ++i) pods.push_back(make_pod(i));
    auto& other = pods[many];
    auto& coming = pods[many + 1];
    for (auto& pod : pods)
        if (&pod != &coming) attach(pod);
    for (int i = 0; i < many; ++i) pods[i].wire->send(6);
    start();

    const auto begin = Clock::now();
    std::array<bool, many> lifted{};
    for (int i = 0; i < many; ++i) lift_or_set(pods[i], 0, lifted[i]);
    const auto others = set_egress(other, 2 * slow_bps);
    const auto added = attach(coming);
    const auto removed = detach(other);
    const bool still = !std::all_of(lifted.begin(), lifted.end(), [](bool each) { return each; });
    EXPECT_TRUE(eventually([&] { return std::all_of(lifted.begin(), lifted.end(), [](bool each) { return each; }); }));
    const auto all = Clock::now() - begin;

    EXPECT_TRUE(still) << "the lifts were over before the others";
    EXPECT_GT(all, 100ms) << "nothing waited";
    EXPECT_LT(all, within(1s));
    for (const auto& took : {others, added, removed}) EXPECT_LT(took, within(200ms));
    EXPECT_LT(worker_->take_longest_turn(), within(longest_turn));
    for (int i = 0; i < many; ++i) {
        EXPECT_EQ(pods[i].wire->receive(6), 6) << "lost with its qdisc";
        EXPECT_FALSE(registry_->find(pods[i].id)->kernel.record.egress);
    }
}

TEST_F(Turns, APodGoesInTheMiddleOfItsLift) {
    auto pod = make_pod(0);
    attach(pod);
    start();
    pod.wire->send(6);
    bool lifted = false;
    lift_or_set(pod, 0, lifted);
    const auto instance = registry_->find(pod.id)->kernel.egress;
    EXPECT_TRUE(eventually([&] { return instance->config().mode == NATRA_MODE_OFF; }));
    EXPECT_FALSE(lifted);
    EXPECT_LT(detach(pod), within(150ms));
    EXPECT_TRUE(lifted);
    EXPECT_TRUE(registry_->pods().empty());
    EXPECT_TRUE(engine_->pinned().empty());
}

// Its own later operations wait, so that they find what it left.
TEST_F(Turns, AChangeBehindALiftComesAfterIt) {
    auto pod = make_pod(0);
    attach(pod);
    pod.wire->send(6);
    bool lifted = false;
    lift_or_set(pod, 0, lifted);
    set_egress(pod, 2 * slow_bps);
    EXPECT_TRUE(lifted);
    EXPECT_EQ(registry_->find(pod.id)->kernel.record.egress->rate.rate_bps, 2 * slow_bps);
    EXPECT_EQ(pod.wire->receive(6), 6);
    detach(pod);
}

TEST_F(Turns, ASwitchHoldsNobodyUp) {
    auto pod = make_pod(0);
    auto other = make_pod(1);
    pod.request.limits.egress.rate_bps = 1'000'000;
    attach(pod);
    attach(other);
    pod.wire->send_what_passes(500);
    start();
    bool switched = false;
    const PinsChange police{.attach_mode = {}, .edt_pacing = {}, .shaper = std::optional(datapath::Shaper::police)};
    registry_->set_data_path(pod.id, police, "the test", [&](const Result<void>& r) {
        EXPECT_TRUE(r) << r.error().what;
        switched = true;
    });
    EXPECT_LT(set_egress(other, 2 * slow_bps), within(200ms));
    EXPECT_FALSE(switched);
    EXPECT_TRUE(eventually([&] { return switched; }));
    EXPECT_LT(worker_->take_longest_turn(), within(longest_turn));
    EXPECT_EQ(registry_->find(pod.id)->kernel.record.egress->shaper, datapath::Shaper::police);
    detach(pod);
    detach(other);
}

class Failing : public Observer {
public:
    void pod_added(const Pod&) override { fail(); }
    void pod_changed(const Pod&) override { fail(); }
    void pod_removed(const std::string&) override { fail(); }
    [[nodiscard]] int told() const { return told_; }

private:
    void fail() {
        ++told_;
        throw std::runtime_error("this observer always fails");
    }
    int told_ = 0;
};

TEST_F(Turns, AnObserverThatFailsStopsNothing) {
    Failing observer;
    registry_->set_observer(&observer);
    auto pod = make_pod(0);
    attach(pod);
    EXPECT_EQ(observer.told(), 1);
    set_egress(pod, 2 * slow_bps);
    EXPECT_EQ(observer.told(), 2);
    EXPECT_EQ(registry_->find(pod.id)->kernel.record.egress->rate.rate_bps, 2 * slow_bps);
    detach(pod);
    EXPECT_EQ(observer.told(), 3);
    registry_->set_observer(nullptr);
}

TEST_F(Turns, ManyOperationsThatEndAtOnceMayWait) {
    constexpr int many = 50'000;
    auto pod = make_pod(0);
    bool attached = false;
    registry_->attach(pod.request, UniqueFd(::fcntl(pod.netns.get(), F_DUPFD_CLOEXEC, 3)),
                      [&](const Result<std::string>& id) {
                          ASSERT_TRUE(id) << id.error().what;
                          pod.id = *id;
                          attached = true;
                      });
    int ended = 0;
    const auto id = attachment_id(pod.request.container_id, pod.request.interface_name);
    for (int i = 0; i < many; ++i)
        registry_->edit_limits(
            id, [](const Pod&) { return LimitsEdit(); }, "the test",
            [&](const Result<void>& r) { ended += r ? 1 : 0; });
    EXPECT_EQ(ended, 0);
    EXPECT_TRUE(eventually([&] { return ended == many; }));
    EXPECT_TRUE(attached);
    detach(pod);
}

}  // namespace
}  // namespace natra::pods::testing
