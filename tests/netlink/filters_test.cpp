// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/pkt_sched.h>

#include <cerrno>

#include "tests/netlink/world.hpp"

namespace natra::datapath::testing {
namespace {

using Code = Error::Code;

constexpr std::uint32_t ingress = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
constexpr std::uint32_t egress = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS);

class Filters : public World {
protected:
    void SetUp() override {
        World::SetUp();
        run("tc qdisc add dev a0 clsact");
        a_ = ifindex("a0");
    }
    std::size_t count(std::uint32_t parent) {
        const auto filters = netlink().filters(a_, parent);
        EXPECT_TRUE(filters) << filters.error().what;
        return filters ? filters->size() : 0;
    }

    int a_ = 0;
    Program program_ = load_program();
};

TEST_F(Filters, AreDirectActionWhereTheyWereAskedFor) {
    const auto placed = netlink().add_bpf_filter(a_, egress, 1, program_.fd.get(), "natra");
    ASSERT_OK(placed);
    EXPECT_EQ(placed->parent, egress);
    EXPECT_EQ(placed->priority, 1U);
    EXPECT_NE(placed->handle, 0U);
    EXPECT_EQ(placed->kind, "bpf");
    EXPECT_EQ(placed->name, "natra");
    EXPECT_EQ(placed->prog_id, program_.id);

    EXPECT_EQ(run("tc filter show dev a0 ingress"), "");
    const auto shown = run_json("tc -j filter show dev a0 egress");
    ASSERT_EQ(shown.size(), 2U) << shown;  // the priority and the filter in it
    EXPECT_EQ(shown[1].at("protocol"), "all");
    EXPECT_EQ(shown[1].at("pref"), 1);
    const auto& options = shown[1].at("options");
    EXPECT_EQ(options.at("handle"), "0x" + std::to_string(placed->handle));
    EXPECT_EQ(options.at("bpf_name"), "natra");
    EXPECT_EQ(options.at("direct-action"), true);
    EXPECT_EQ(options.at("prog").at("id"), program_.id);

    EXPECT_OK(netlink().delete_filter(a_, *placed));
    EXPECT_EQ(run("tc filter show dev a0 egress"), "");
    EXPECT_OK(netlink().delete_filter(a_, *placed));
}

TEST_F(Filters, GetAPriorityFromTheKernel) {
    const auto first = netlink().add_bpf_filter(a_, ingress, 0, program_.fd.get(), "one");
    const auto second = netlink().add_bpf_filter(a_, ingress, 0, program_.fd.get(), "two");
    ASSERT_OK(first);
    ASSERT_OK(second);
    EXPECT_NE(first->priority, 0U);
    EXPECT_LT(second->priority, first->priority);
    const auto shown = run_json("tc -j filter show dev a0 ingress");
    ASSERT_EQ(shown.size(), 4U) << shown;
    EXPECT_EQ(shown[0].at("pref"), second->priority);
    EXPECT_EQ(shown[2].at("pref"), first->priority);
}

TEST_F(Filters, GiveTheirPlaceToAnotherProgram) {
    const auto last = netlink().add_bpf_filter(a_, egress, 1, program_.fd.get(), "last");
    const auto between = netlink().add_bpf_filter(a_, egress, 1, program_.fd.get(), "natra");
    const auto first = netlink().add_bpf_filter(a_, egress, 1, program_.fd.get(), "first");
    ASSERT_TRUE(last && between && first);
    const auto other = load_program();
    EXPECT_OK(netlink().replace_bpf_filter(a_, *between, other.fd.get()));
    const auto listed = netlink().filters(a_, egress);
    ASSERT_OK(listed);
    ASSERT_EQ(listed->size(), 3U);
    EXPECT_EQ((*listed)[0].prog_id, program_.id);
    EXPECT_EQ((*listed)[1].prog_id, other.id);
    EXPECT_EQ((*listed)[1].name, "natra");
    EXPECT_EQ((*listed)[1].handle, between->handle);
    EXPECT_EQ((*listed)[2].prog_id, program_.id);
    const auto shown = run_json("tc -j filter show dev a0 egress");
    ASSERT_EQ(shown.size(), 4U) << shown;
    EXPECT_EQ(shown[2].at("options").at("direct-action"), true);

    EXPECT_OK(netlink().delete_filter(a_, *between));
    EXPECT_EQ(error_of(netlink().replace_bpf_filter(a_, *between, other.fd.get())).sys, ENOENT);
    auto whole_priority = *first;
    whole_priority.handle = 0;
    EXPECT_EQ(error_of(netlink().replace_bpf_filter(a_, whole_priority, other.fd.get())).code, Code::invalid_argument);
    EXPECT_EQ(count(egress), 2U);
}

TEST_F(Filters, ShareAPriorityUnderTheirOwnHandles) {
    const auto first = netlink().add_bpf_filter(a_, egress, 5, program_.fd.get(), "one");
    const auto second = netlink().add_bpf_filter(a_, egress, 5, program_.fd.get(), "two");
    ASSERT_OK(first);
    ASSERT_OK(second);
    EXPECT_NE(first->handle, second->handle);
    EXPECT_OK(netlink().delete_filter(a_, *first));
    const auto left = netlink().filters(a_, egress);
    ASSERT_OK(left);
    ASSERT_EQ(left->size(), 1U);
    EXPECT_EQ(left->front().name, "two");
    EXPECT_EQ(left->front().handle, second->handle);
}

TEST_F(Filters, OfOthersAreListed) {
    run("tc filter add dev a0 egress prio 7 protocol all u32 match u32 0 0 classid 1:1");
    ASSERT_OK(netlink().add_bpf_filter(a_, egress, 1, program_.fd.get(), "natra"));
    const auto filters = netlink().filters(a_, egress);
    ASSERT_OK(filters);
    EXPECT_EQ(filters->front().name, "natra");
    const auto foreign = [](const BpfFilter& f) { return f.kind == "u32" && f.priority == 7 && f.prog_id == 0; };
    EXPECT_EQ(std::count_if(filters->begin(), filters->end(), foreign),
              static_cast<std::ptrdiff_t>(filters->size() - 1));
    EXPECT_GE(filters->size(), 2U);
    EXPECT_EQ(count(ingress), 0U);
}

TEST_F(Filters, OnOtherChainsAreListed) {
    run("tc filter add dev a0 egress chain 3 prio 7 protocol all u32 match u32 0 0 classid 1:1");
    EXPECT_GE(count(egress), 1U);
}

TEST_F(Filters, AreNoneWhereThereIsNoHook) {
    const auto no_qdisc = netlink().filters(ifindex("b0"), egress);
    ASSERT_OK(no_qdisc);
    EXPECT_TRUE(no_qdisc->empty());
    const auto no_device = netlink().filters(absent_ifindex, egress);
    ASSERT_OK(no_device);
    EXPECT_TRUE(no_device->empty());
}

TEST_F(Filters, AreMoreThanOneDatagramHolds) {
    constexpr std::size_t many = 500;
    for (std::size_t i = 0; i < many; ++i)
        ASSERT_OK(netlink().add_bpf_filter(a_, egress, 5, program_.fd.get(), "natra" + std::to_string(i)));
    EXPECT_EQ(count(egress), many);
}

TEST_F(Filters, ThatCannotBeAddedLeaveNothing) {
    // Not a program, not a descriptor, no hook, no device, a priority that a filter cannot have.
    const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    EXPECT_NE(error_of(netlink().add_bpf_filter(a_, egress, 1, file.get(), "natra")).sys, 0);
    EXPECT_NE(error_of(netlink().add_bpf_filter(a_, egress, 1, -1, "natra")).sys, 0);
    EXPECT_NE(error_of(netlink().add_bpf_filter(ifindex("b0"), egress, 1, program_.fd.get(), "natra")).sys, 0);
    EXPECT_EQ(error_of(netlink().add_bpf_filter(absent_ifindex, egress, 1, program_.fd.get(), "natra")).code,
              Code::no_device);
    EXPECT_EQ(error_of(netlink().add_bpf_filter(a_, egress, 65536, program_.fd.get(), "natra")).code,
              Code::invalid_argument);
    EXPECT_NE(error_of(netlink().add_bpf_filter(a_, egress, 1, program_.fd.get(), std::string(300, 'n'))).sys, 0);
    EXPECT_EQ(run("tc filter show dev a0 egress"), "");
    EXPECT_EQ(run("tc qdisc show dev b0").find("clsact"), std::string::npos);
}

TEST_F(Filters, OfAnotherKindAtThePriorityAreLeftAlone) {
    run("tc filter add dev a0 egress prio 1 protocol all u32 match u32 0 0 classid 1:1");
    const auto before = run("tc filter show dev a0 egress");
    EXPECT_NE(error_of(netlink().add_bpf_filter(a_, egress, 1, program_.fd.get(), "natra")).sys, 0);
    EXPECT_OK(netlink().delete_filter(a_, {.parent = egress, .priority = 1, .handle = 1}));
    EXPECT_EQ(run("tc filter show dev a0 egress"), before);
}

// Both are wildcards to the kernel.
TEST_F(Filters, AreNotDeletedByZeroes) {
    const auto placed = netlink().add_bpf_filter(a_, egress, 3, program_.fd.get(), "natra");
    ASSERT_OK(placed);
    EXPECT_EQ(error_of(netlink().delete_filter(a_, {.parent = egress, .priority = 3})).code, Code::invalid_argument);
    EXPECT_EQ(error_of(netlink().delete_filter(a_, {.parent = egress, .handle = 1})).code, Code::invalid_argument);
    EXPECT_EQ(count(egress), 1U);
}

TEST_F(Filters, ThatAreGoneAreDeletedSuccessfully) {
    const BpfFilter filter{.parent = egress, .priority = 3, .handle = 1};
    EXPECT_OK(netlink().delete_filter(a_, filter));
    EXPECT_OK(netlink().delete_filter(ifindex("b0"), filter));
    EXPECT_OK(netlink().delete_filter(absent_ifindex, filter));
}

}  // namespace
}  // namespace natra::datapath::testing
