// SPDX-License-Identifier: Apache-2.0
// What a natrad with another ABI left in force gets a program of this one, as after an upgrade.
#include <bpf/bpf.h>
#include <linux/rtnetlink.h>
#include <sys/mman.h>

#include "daemon/util/files.hpp"
#include "tests/netlink/engine_world.hpp"
#include "tests/netlink/faults.hpp"

namespace natra::datapath::testing {
namespace {

using Code = Error::Code;

// In the state that is pinned there.
void set_abi(const std::string& pin, std::uint32_t abi) {
    const UniqueFd map(bpf_obj_get(pin.c_str()));
    ASSERT_TRUE(map) << pin << ": " << std::strerror(errno);
    void* const pages = ::mmap(nullptr, sizeof(natra_state), PROT_READ | PROT_WRITE, MAP_SHARED, map.get(), 0);
    ASSERT_NE(pages, MAP_FAILED) << std::strerror(errno);
    static_cast<natra_state*>(pages)->abi = abi;
    ::munmap(pages, sizeof(natra_state));
}

void pin_again(const std::string& pin, int fd) {
    ASSERT_OK(files::remove(pin));
    ASSERT_EQ(bpf_obj_pin(fd, pin.c_str()), 0) << pin << ": " << std::strerror(errno);
}

// A natrad with an older ABI has pinned a smaller state there.
void shrink_state(const std::string& pin) {
    bpf_map_create_opts options{};
    options.sz = sizeof options;
    options.map_flags = BPF_F_MMAPABLE;
    const UniqueFd map(
        bpf_map_create(BPF_MAP_TYPE_ARRAY, "older", sizeof(__u32), sizeof(natra_state) / 2, 1, &options));
    ASSERT_TRUE(map) << std::strerror(errno);
    pin_again(pin, map.get());
}

// The kernel frees what nobody holds when it has time.
bool gone(std::uint32_t program) {
    for (int attempt = 0; attempt < 1000; ++attempt) {
        if (!UniqueFd(bpf_prog_get_fd_by_id(program))) return true;
        ::usleep(10'000);
    }
    return false;
}

// A frame a second, since an emulated machine takes two to load the program; whatever is sent belongs to a heavy flow.
constexpr Rate slow{.rate_bps = 8'000, .heavy_threshold_bytes = 1};
// As many as the program lets wait.
constexpr int frames = 6;

class Renewals : public Engines {
protected:
    Attached attach_with(const Rates& rates, const Wish& wish) {
        auto attached = engine_->attach({.id = "pod1",
                                         .netns_fd = pod_.get(),
                                         .netns_path = netns_path(),
                                         .device = "eth0",
                                         .rates = rates,
                                         .wish = wish});
        EXPECT_TRUE(attached) << attached.error().what;
        return attached ? *std::move(attached) : Attached{};
    }
    // A device's own, unless the kernel put it there.
    nlohmann::json root_qdisc(const AttachmentRecord& record, Direction direction) {
        const bool inside = record.of(direction)->pod_side;
        const auto command =
            concat("tc -s -j qdisc show dev ", inside ? record.pod_device : record.host_device, " root");
        return nlohmann::json::parse(inside ? in_pod(command) : run(command)).at(0);
    }
    // That its qdisc sent so far.
    int packets(const AttachmentRecord& record, Direction direction) {
        return record.of(direction)->shaper == Shaper::police ? 0
                                                              : root_qdisc(record, direction).at("packets").get<int>();
    }
    // At all hooks of the device.
    std::size_t programs(const AttachmentRecord& record, Direction direction) {
        const auto& shaping = *record.of(direction);
        std::size_t count = 0;
        const auto look = [&] {
            const auto device = shaping.pod_side ? record.pod_device : record.host_device;
            const auto filters = run(
                concat("sh -c 'for at in \"\" ingress egress; do tc filter show dev ", device, " $at; done; true'"));
            for (auto at = filters.find(" handle "); at != std::string::npos; at = filters.find(" handle ", at + 1))
                ++count;
            // The filter of HTB's classes is none that limits.
            for (auto at = filters.find(" natra-class "); at != std::string::npos;
                 at = filters.find(" natra-class ", at + 1))
                --count;
            for (const auto type : {46, 47}) {  // tcx ingress and egress, which older headers do not name
                struct bpf_prog_query_opts query {};
                query.sz = sizeof query;
                if (bpf_prog_query_opts(ifindex(device), static_cast<bpf_attach_type>(type), &query) == 0)
                    count += query.count;
            }
        };
        if (!shaping.pod_side) {
            look();
            return count;
        }
        std::thread([&] {
            ASSERT_EQ(::setns(pod_.get(), CLONE_NEWNET), 0) << std::strerror(errno);
            look();
        }).join();
        return count;
    }
    std::string pin(const std::string& name) { return pins_.path("pins/pod1/" + name); }
    // With a program of this natrad, which alone is there.
    void expect_renewed(const Attached& adopted, const AttachmentRecord& recorded, Direction direction,
                        std::uint32_t old_program) {
        ASSERT_TRUE(adopted.record.of(direction));
        EXPECT_OK(engine_->check(adopted, pod_.get()));
        const auto& now = *adopted.record.of(direction);
        const auto& then = *recorded.of(direction);
        EXPECT_EQ(now.rate, then.rate);
        EXPECT_EQ(now.shaper, then.shaper);
        EXPECT_EQ(now.pod_side, then.pod_side);
        EXPECT_EQ(now.backstop, then.backstop);
        EXPECT_EQ(now.reason, then.reason);
        EXPECT_EQ(now.hook.kind, then.hook.kind);
        const auto& instance = *adopted.instance(direction);
        EXPECT_NE(instance.prog_id(), old_program);
        EXPECT_NE(instance.config().mode, NATRA_MODE_OFF);
        EXPECT_TRUE(gone(old_program));
        const std::string name(to_string(direction));
        const auto pinned = Instance::adopt(pins_.path("pins/pod1"), name);
        ASSERT_OK(pinned);
        EXPECT_EQ(pinned->prog_id(), instance.prog_id());
        engine_->confirm_switch("pod1");
        std::vector<std::string> left;
        for (const auto& each : files::list(pins_.path("pins/pod1")))
            if (each.starts_with(name)) left.push_back(each);
        std::vector<std::string> expected{name + "_prog", name + "_state"};
        if (now.hook.kind == HookKind::tcx) expected.insert(expected.begin(), name + "_link");
        EXPECT_EQ(left, expected);
    }
};

class TcxRenewals : public Renewals {
protected:
    void SetUp() override {
        Renewals::SetUp();
        if (!engine_->features().tcx) GTEST_SKIP() << "this kernel has no tcx";
    }
};

struct Place {
    const char* name;
    Direction direction;
    Shaper shaper;
    AttachMode mode;
    bool ingress_qdisc = false;  // has the place of clsact on the pod's device
};

class RenewalsOf : public Renewals, public ::testing::WithParamInterface<Place> {
protected:
    void SetUp() override {
        Renewals::SetUp();
        const auto& place = GetParam();
        if (place.shaper == Shaper::edt && !engine_->features().fq) GTEST_SKIP() << "this kernel has no sch_fq";
        if (place.mode == AttachMode::tcx && !engine_->features().tcx) GTEST_SKIP() << "this kernel has no tcx";
        if (place.ingress_qdisc) in_pod("tc qdisc add dev eth0 handle ffff: ingress");
    }
    Attached attach_there(const Rate& rate) {
        Rates rates;
        rates.of(GetParam().direction) = rate;
        auto attached = attach_with(rates, {.attach_mode = GetParam().mode,
                                            .shaper = GetParam().shaper,
                                            .attach_mode_by = "the test",
                                            .shaper_by = "the test"});
        EXPECT_TRUE(attached.record.of(GetParam().direction));
        return attached;
    }
};

class RenewalsWithAQueue : public RenewalsOf {};
class RenewalsOfAPolicer : public RenewalsOf {};

TEST_P(RenewalsWithAQueue, KeepTheQdiscAndWhatWaitsThere) {
    const auto direction = GetParam().direction;
    // A machine that is busy enough sends them all before this thread gets to look.
    bool waited = false;
    for (int attempt = 0; attempt < 5 && !waited; ++attempt) {
        auto before = attach_there(slow);
        const auto recorded = before.record;
        const auto program = before.instance(direction)->prog_id();
        before.instance(direction).reset();
        auto sent = wire(direction);
        sent.send(frames);
        set_abi(pin(concat(to_string(direction), "_state")), NATRA_ABI + 1);
        // An older natrad's HTB has no filter for its classes.
        if (GetParam().shaper == Shaper::htb) {
            const bool inside = recorded.of(direction)->pod_side;
            const auto command = concat("tc filter del dev ", inside ? "eth0" : "p0", " parent 4e41: prio 65534");
            inside ? in_pod(command) : run(command);
        }
        restart();
        const auto handle = root_qdisc(recorded, direction).at("handle");
        auto adopted = engine_->adopt(recorded);
        ASSERT_OK(adopted);
        const auto known_ns = adopted->instance(direction)->queued_ns();
        const auto qdisc = root_qdisc(recorded, direction);
        EXPECT_EQ(qdisc.at("handle"), handle);
        waited = qdisc.at("qlen") >= 2;
        EXPECT_TRUE(known_ns > 0 || !waited) << "what waits is not known to the new program";
        EXPECT_EQ(programs(adopted->record, direction), 1U);
        EXPECT_EQ(adopted->record.of(direction)->hook.handle, recorded.of(direction)->hook.handle);
        EXPECT_EQ(adopted->record.of(direction)->hook.priority, recorded.of(direction)->hook.priority);
        expect_renewed(*adopted, recorded, direction, program);
        Rates faster;
        faster.of(direction) = rate;
        EXPECT_OK(engine_->change(*adopted, faster));
        ASSERT_EQ(sent.receive(frames, 10'000), frames);
        EXPECT_OK(engine_->detach(*adopted));
    }
    EXPECT_TRUE(waited);
}

// The bucket of another program would be full.
TEST_P(RenewalsOfAPolicer, GiveNoCredit) {
    const auto direction = GetParam().direction;
    constexpr int bucket = 100;
    const Rate bursty{.rate_bps = 40'000, .burst_bits = bucket * 8000, .heavy_threshold_bytes = 1};
    auto before = attach_there(bursty);
    const auto recorded = before.record;
    const auto program = before.instance(direction)->prog_id();
    before.instance(direction).reset();
    auto sent = wire(direction);
    sent.send_what_passes(2 * bucket);
    // Where the kernel says something of its own meanwhile, that is another flow, and each may have half of it.
    ASSERT_GE(sent.receive(2 * bucket), bucket / 2);
    shrink_state(pin(concat(to_string(direction), "_state")));
    restart();
    auto adopted = engine_->adopt(recorded);
    ASSERT_OK(adopted);
    sent.send_what_passes(bucket);
    EXPECT_LT(sent.receive(bucket), bucket / 3);
    EXPECT_EQ(programs(adopted->record, direction), 1U);
    expect_renewed(*adopted, recorded, direction, program);
    EXPECT_OK(engine_->detach(*adopted));
}

// As a natrad leaves it that dies before it is done; or as one would that left the old state beside the new program,
// for a version that is put back to find.
TEST_P(RenewalsOf, GoOnWhereAnotherNatradStopped) {
    const auto direction = GetParam().direction;
    const std::string name(to_string(direction));
    const std::string at_first = "before the program took the other one's place";
    for (const std::string when :
         {at_first.c_str(), "before it was pinned", "before its state was pinned", "beside the old state"}) {
        SCOPED_TRACE(when);
        auto before = attach_there(rate);
        const auto recorded = before.record;
        auto old_program = before.instance(direction)->prog_id();
        before.instance(direction).reset();
        const auto prog = pin(name + "_prog");
        const auto state = pin(name + "_state");
        set_abi(state, NATRA_ABI + 1);
        {
            const auto stray = load_program();
            pin_again(pin(name + "_next_prog"), stray.fd.get());
            const UniqueFd old_prog(bpf_obj_get(prog.c_str()));
            const UniqueFd old_state(bpf_obj_get(state.c_str()));
            if (when != at_first) {
                restart();
                const auto interrupted = engine_->adopt(recorded);
                ASSERT_OK(interrupted);
                old_program = interrupted->instance(direction)->prog_id();
                if (when == "before it was pinned") pin_again(prog, old_prog.get());
                ASSERT_OK(files::remove(state));
            }
            if (when == "beside the old state") {
                ASSERT_EQ(bpf_obj_pin(old_state.get(), state.c_str()), 0) << std::strerror(errno);
                set_abi(state, NATRA_ABI);
                EXPECT_EQ(error_of(Instance::adopt(pins_.path("pins/pod1"), name)).code, Code::mismatch);
            }
        }
        restart();
        wire(direction).send_what_passes(1);
        const auto passed = packets(recorded, direction);
        const auto adopted = engine_->adopt(recorded);
        ASSERT_OK(adopted);
        EXPECT_GE(packets(recorded, direction), passed) << "another qdisc";
        EXPECT_EQ(programs(adopted->record, direction), 1U);
        expect_renewed(*adopted, recorded, direction, old_program);
        EXPECT_OK(engine_->detach(*adopted));
    }
}

const Place queues[] = {{"htb_egress", Direction::egress, Shaper::htb, AttachMode::clsact},
                        {"htb_egress_tcx", Direction::egress, Shaper::htb, AttachMode::tcx},
                        {"htb_egress_on_its_qdisc", Direction::egress, Shaper::htb, AttachMode::clsact, true},
                        {"htb_ingress", Direction::ingress, Shaper::htb, AttachMode::clsact},
                        {"edt_egress", Direction::egress, Shaper::edt, AttachMode::clsact},
                        {"edt_ingress_tcx", Direction::ingress, Shaper::edt, AttachMode::tcx}};
const Place policers[] = {{"police_egress", Direction::egress, Shaper::police, AttachMode::clsact},
                          {"police_egress_tcx", Direction::egress, Shaper::police, AttachMode::tcx},
                          {"police_ingress", Direction::ingress, Shaper::police, AttachMode::clsact}};
const auto place_name = [](const auto& each) { return std::string(each.param.name); };

INSTANTIATE_TEST_SUITE_P(Some, RenewalsOf, ::testing::Values(queues[0], queues[1], queues[4], policers[2]), place_name);
INSTANTIATE_TEST_SUITE_P(All, RenewalsWithAQueue, ::testing::ValuesIn(queues), place_name);
INSTANTIATE_TEST_SUITE_P(All, RenewalsOfAPolicer, ::testing::ValuesIn(policers), place_name);

TEST_F(Renewals, OfBothDirectionsOnOneDevice) {
    auto before = attach_with({.ingress = rate, .egress = rate}, {.shaper = Shaper::police, .shaper_by = "the test"});
    const auto recorded = before.record;
    const std::uint32_t programs_before[] = {before.ingress->prog_id(), before.egress->prog_id()};
    before.ingress.reset();
    before.egress.reset();
    set_abi(pin("ingress_state"), NATRA_ABI + 1);
    shrink_state(pin("egress_state"));
    restart();
    const auto adopted = engine_->adopt(recorded);
    ASSERT_OK(adopted);
    EXPECT_EQ(programs(adopted->record, Direction::egress), 2U);
    expect_renewed(*adopted, recorded, Direction::ingress, programs_before[0]);
    expect_renewed(*adopted, recorded, Direction::egress, programs_before[1]);
}

TEST_F(Renewals, OfABackstopLeaveItThere) {
    auto before = attach();
    ASSERT_OK(engine_->install_backstop(before, "it was asked for"));
    engine_->confirm_switch("pod1");
    const auto recorded = before.record;
    const auto program = before.egress->prog_id();
    before.egress.reset();
    set_abi(pin("egress_state"), NATRA_ABI + 1);
    restart();
    const auto adopted = engine_->adopt(recorded);
    ASSERT_OK(adopted);
    EXPECT_TRUE(adopted->record.egress->backstop);
    EXPECT_EQ(filters_outside(), 1U);
    expect_renewed(*adopted, recorded, Direction::egress, program);
}

// What is missing besides is put back.
TEST_F(Renewals, MendWhatWasTakenAway) {
    for (const auto* const what : {"root", "clsact"}) {
        SCOPED_TRACE(what);
        auto before = attach();
        const auto recorded = before.record;
        const auto program = before.egress->prog_id();
        before.egress.reset();
        set_abi(pin("egress_state"), NATRA_ABI + 1);
        in_pod(concat("tc qdisc del dev eth0 ", what));
        restart();
        const auto adopted = engine_->adopt(recorded);
        ASSERT_OK(adopted);
        expect_inside(*adopted);
        EXPECT_EQ(programs(adopted->record, Direction::egress), 1U);
        expect_renewed(*adopted, recorded, Direction::egress, program);
        EXPECT_OK(engine_->detach(*adopted));
    }
}

// Then it is all made anew.
TEST_F(Renewals, ThatFailLeaveALimitInForce) {
    const bool htb = attach().record.egress->shaper == Shaper::htb;
    // The qdisc is looked at, the filter replaced, the qdisc looked at again, and tuned.
    const std::pair<int, int> requests[] = {
        {RTM_GETQDISC, 1}, {RTM_NEWTFILTER, 1}, {RTM_GETQDISC, 2}, {htb ? RTM_NEWTCLASS : RTM_GETTFILTER, 1}};
    for (const auto& [request, nth] : requests) {
        SCOPED_TRACE(request);
        engine_->remove_pins("pod1");
        restart();
        in_pod("sh -c 'tc qdisc del dev eth0 root; tc qdisc del dev eth0 clsact'");
        auto before = attach();
        const auto recorded = before.record;
        const auto program = before.egress->prog_id();
        before.egress.reset();
        set_abi(pin("egress_state"), NATRA_ABI + 1);
        restart();
        const RefusedRequest refused(request, nth);
        const auto adopted = engine_->adopt(recorded);
        ASSERT_OK(adopted);
        EXPECT_TRUE(refused.happened());
        expect_inside(*adopted);
        EXPECT_EQ(programs(adopted->record, Direction::egress), 1U);
        expect_renewed(*adopted, recorded, Direction::egress, program);
    }
}

TEST_F(TcxRenewals, OfALinkThatSomebodyDetached) {
    auto before =
        attach_with({.ingress = {}, .egress = rate}, {.attach_mode = AttachMode::tcx, .attach_mode_by = "the test"});
    const auto recorded = before.record;
    const auto program = before.egress->prog_id();
    before.egress.reset();
    set_abi(pin("egress_state"), NATRA_ABI + 1);
    {
        const UniqueFd link(bpf_obj_get(pin("egress_link").c_str()));
        ASSERT_EQ(bpf_link_detach(link.get()), 0) << std::strerror(errno);
    }
    restart();
    const auto adopted = engine_->adopt(recorded);
    ASSERT_OK(adopted);
    EXPECT_EQ(programs(adopted->record, Direction::egress), 1U);
    expect_renewed(*adopted, recorded, Direction::egress, program);
}

// Pinned by a natrad with another ABI, or no longer pinned at all, in a pod that cannot be entered.
TEST_F(Renewals, PoliceOutsideWhatCannotBeReached) {
    for (const auto* const left : {"another ABI", "a smaller state", "nothing"}) {
        SCOPED_TRACE(left);
        auto recorded = attach().record;
        recorded.netns_path = "/nonexistent";
        const auto state = pin("egress_state");
        if (left == std::string("another ABI"))
            set_abi(state, NATRA_ABI + 1);
        else if (left == std::string("a smaller state"))
            shrink_state(state);
        else
            engine_->remove_pins("pod1");
        restart();
        const auto adopted = engine_->adopt(recorded);
        ASSERT_OK(adopted);
        ASSERT_TRUE(adopted->record.egress);
        EXPECT_TRUE(adopted->record.egress->backstop);
        EXPECT_EQ(adopted->record.egress->rate, rate);
        EXPECT_EQ(filters_outside(), 1U);
        if (left != std::string("nothing")) {
            // The next natrad, if this one died now.
            restart();
            const auto again = engine_->adopt(recorded);
            ASSERT_OK(again);
            EXPECT_TRUE(again->record.egress && again->record.egress->backstop);
            EXPECT_EQ(filters_outside(), 1U);
        }
        engine_->confirm_switch("pod1");
        EXPECT_EQ(files::list(pins_.path("pins/pod1")), (std::vector<std::string>{"egress_prog", "egress_state"}));
        EXPECT_OK(engine_->detach(*adopted));
        // What its detach could not reach.
        in_pod("tc qdisc del dev eth0 root");
        in_pod("tc qdisc del dev eth0 clsact");
    }
}

TEST_F(TcxRenewals, LeaveWhatCannotBeReachedInForceUntilItIsPolicedOutside) {
    auto before =
        attach_with({.ingress = {}, .egress = rate}, {.attach_mode = AttachMode::tcx, .attach_mode_by = "the test"});
    auto recorded = before.record;
    before.egress.reset();
    recorded.netns_path = "/nonexistent";
    recorded.wish = {};
    set_abi(pin("egress_state"), NATRA_ABI + 1);
    restart();
    {
        const RefusedRequest refused(RTM_NEWQDISC, 1);
        EXPECT_FALSE(engine_->adopt(recorded));
        EXPECT_TRUE(refused.happened());
    }
    EXPECT_EQ(programs(recorded, Direction::egress), 1U);
    EXPECT_EQ(filters_outside(), 0U);
    // The next natrad.
    const auto adopted = engine_->adopt(recorded);
    ASSERT_OK(adopted);
    EXPECT_TRUE(adopted->record.egress->backstop);
    EXPECT_EQ(programs(recorded, Direction::egress), 0U);
    EXPECT_EQ(filters_outside(), 1U);
}

}  // namespace
}  // namespace natra::datapath::testing
