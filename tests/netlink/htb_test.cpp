// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <regex>

#include "tests/netlink/faults.hpp"
#include "tests/netlink/wire.hpp"
#include "tests/netlink/world.hpp"

namespace natra::datapath::testing {
namespace {

using ::testing::HasSubstr;
using Code = Error::Code;

// As `tc -d class show` prints it: "80Mbit", "12500b".
struct ShownClass {
    std::string parent;
    std::string leaf;
    std::string priority;
    std::string quantum;
    std::string rate;
    std::string ceil;
    double burst_bytes = 0;
};

double bytes(const std::string& text) {
    std::size_t end = 0;
    const double number = std::stod(text, &end);
    const auto unit = text.substr(end);
    return number * (unit == "Mb" ? 1024 * 1024 : unit == "Kb" ? 1024 : 1);
}

std::map<std::string, ShownClass> shown_classes(const std::string& device) {
    static const std::regex line(
        R"(class htb (\S+) (?:root|parent (\S+)) (?:leaf (\S+) )?(?:prio (\d+) )?(?:quantum (\d+) )?)"
        R"(rate (\S+) ceil (\S+) linklayer ethernet burst ([^/\s]+)\S*( .*)?)");
    std::map<std::string, ShownClass> out;
    std::istringstream shown(run("tc -d class show dev " + device));
    for (std::string text; std::getline(shown, text);) {
        std::smatch m;
        if (!std::regex_match(text, m, line)) {
            ADD_FAILURE() << "not understood: " << text;
            continue;
        }
        out[m[1]] = {m[2], m[3], m[4], m[5], m[6], m[7], bytes(m[8])};
    }
    return out;
}

std::map<std::string, std::uint64_t> shown_queue_limits(const std::string& device) {
    std::map<std::string, std::uint64_t> out;
    for (const auto& qdisc : run_json("tc -j qdisc show dev " + device))
        if (qdisc.at("kind") == "bfifo") out[qdisc.at("parent")] = qdisc.at("options").at("limit");
    return out;
}

constexpr std::uint64_t ms = 1'000'000;

class Htb : public World {
protected:
    void SetUp() override {
        World::SetUp();
        a_ = ifindex("a0");
        before_ = root_of("a0");
    }
    int a_ = 0;
    std::string before_;
};

TEST_F(Htb, IsTheTreeThatTheProgramExpects) {
    ASSERT_OK(netlink().add_htb(
        a_, {.rate_bps = 100'000'000, .burst_ns = 1 * ms, .small_burst_ns = 20 * ms, .leaf_limit_bytes = 2'500'000}));
    const auto root = run_json("tc -j -d qdisc show dev a0").at(0);
    EXPECT_EQ(root.at("kind"), "htb");
    EXPECT_EQ(root.at("handle"), "4e41:");
    EXPECT_EQ(root.at("options").at("default"), "0x20");

    const auto classes = shown_classes("a0");
    ASSERT_EQ(classes.size(), 3U);
    const auto& all = classes.at("4e41:1");
    EXPECT_EQ(all.rate, "100Mbit");
    EXPECT_EQ(all.ceil, "100Mbit");
    EXPECT_NEAR(all.burst_bytes, 12'500, 13);
    const auto& small = classes.at("4e41:10");
    EXPECT_EQ(small.parent, "4e41:1");
    EXPECT_EQ(small.leaf, "4e43:");
    EXPECT_EQ(small.priority, "0");
    EXPECT_EQ(small.rate, "80Mbit");
    EXPECT_EQ(small.ceil, "100Mbit");
    EXPECT_NEAR(small.burst_bytes, 200'000, 300);
    const auto& heavy = classes.at("4e41:20");
    EXPECT_EQ(heavy.parent, "4e41:1");
    EXPECT_EQ(heavy.leaf, "4e44:");
    EXPECT_EQ(heavy.priority, "1");
    EXPECT_EQ(heavy.rate, "20Mbit");
    EXPECT_EQ(heavy.ceil, "100Mbit");
    EXPECT_NEAR(heavy.burst_bytes, 2'500, 13);
    EXPECT_EQ(small.quantum, "65536");
    EXPECT_EQ(heavy.quantum, "65536");
    const std::map<std::string, std::uint64_t> limits{{"4e41:10", 2'500'000}, {"4e41:20", 2'500'000}};
    EXPECT_EQ(shown_queue_limits("a0"), limits);
}

struct RateCase {
    std::uint64_t bps;
    const char* total;  // as tc prints it
    const char* small;
    const char* heavy;
    friend std::ostream& operator<<(std::ostream& out, const RateCase& c) { return out << c.bps << " bit/s"; }
};
class HtbRate : public Htb, public ::testing::WithParamInterface<RateCase> {};

TEST_P(HtbRate, IsAccepted) {
    const auto& param = GetParam();
    const HtbShape shape{
        .rate_bps = param.bps, .burst_ns = 1 * ms, .small_burst_ns = 20 * ms, .leaf_limit_bytes = 1 << 20};
    // Added, and reached by a change: the kernel has two ways to the same numbers.
    for (const bool by_change : {false, true}) {
        if (by_change) {
            ASSERT_OK(netlink().add_htb(a_, {.rate_bps = 5'000'000, .leaf_limit_bytes = 1000}));
            ASSERT_OK(netlink().change_htb(a_, shape));
        } else {
            ASSERT_OK(netlink().add_htb(a_, shape));
        }
        const auto classes = shown_classes("a0");
        ASSERT_EQ(classes.size(), 3U);
        EXPECT_EQ(classes.at("4e41:1").rate, param.total);
        EXPECT_EQ(classes.at("4e41:1").ceil, param.total);
        EXPECT_EQ(classes.at("4e41:10").rate, param.small);
        EXPECT_EQ(classes.at("4e41:10").ceil, param.total);
        EXPECT_EQ(classes.at("4e41:20").rate, param.heavy);
        EXPECT_EQ(classes.at("4e41:20").ceil, param.total);
        EXPECT_EQ(classes.at("4e41:10").quantum, "65536");
        ASSERT_OK(netlink().delete_root(a_, htb_handle));
    }
}

INSTANTIATE_TEST_SUITE_P(Extremes, HtbRate,
                         ::testing::Values(RateCase{0, "8bit", "8bit", "8bit"}, RateCase{8, "8bit", "8bit", "8bit"},
                                           RateCase{80, "80bit", "64bit", "16bit"},
                                           RateCase{1000, "1Kbit", "800bit", "200bit"},
                                           RateCase{10'000'000'000, "10Gbit", "8Gbit", "2Gbit"},
                                           // around 2^32 byte/s, where the 32-bit fields end
                                           RateCase{34'350'000'000, "34350Mbit", "27480Mbit", "6870Mbit"},
                                           RateCase{34'360'000'000, "34360Mbit", "27488Mbit", "6872Mbit"},
                                           RateCase{40'000'000'000, "40Gbit", "32Gbit", "8Gbit"},
                                           RateCase{100'000'000'000, "100Gbit", "80Gbit", "20Gbit"},
                                           RateCase{1'000'000'000'000'000, "1000Tbit", "800Tbit", "200Tbit"}));

TEST_F(Htb, BucketsHoldAFrameAtAnyRate) {
    for (const std::uint64_t bps : {100'000ULL, 1'000'000ULL, 10'000'000ULL, 1'000'000'000ULL}) {
        ASSERT_OK(netlink().add_htb(a_, {.rate_bps = bps, .leaf_limit_bytes = 1 << 20}));
        // tc counts in whole microseconds.
        const double shown_short = static_cast<double>(bps) / 8 / 1e6 + 1;
        for (const auto& [id, c] : shown_classes("a0"))
            EXPECT_GE(c.burst_bytes, 1514 - shown_short) << id << " at " << bps;
        ASSERT_OK(netlink().delete_root(a_, htb_handle));
    }
}

TEST_F(Htb, IsRemovedWhole) {
    ASSERT_OK(netlink().add_htb(a_, {.rate_bps = 1'000'000, .leaf_limit_bytes = 1000}));
    ASSERT_OK(netlink().delete_root(a_, htb_handle));
    EXPECT_EQ(root_of("a0"), before_);
    EXPECT_TRUE(shown_classes("a0").empty());
    EXPECT_TRUE(shown_queue_limits("a0").empty());
    EXPECT_OK(netlink().delete_root(a_, htb_handle));
    EXPECT_EQ(root_of("a0"), before_);
}

TEST_F(Htb, IsNotAddedTwice) {
    ASSERT_OK(netlink().add_htb(a_, {.rate_bps = 1'000'000, .leaf_limit_bytes = 1000}));
    const auto before = run("tc -d class show dev a0");
    const auto error = error_of(netlink().add_htb(a_, {.rate_bps = 2'000'000, .leaf_limit_bytes = 1000}));
    EXPECT_EQ(error.sys, EEXIST);
    EXPECT_EQ(run("tc -d class show dev a0"), before);
}

TEST_F(Htb, IsNotChangedWhereItIsAbsent) {
    EXPECT_NE(error_of(netlink().change_htb(a_, {.rate_bps = 1'000'000})).sys, 0);
    EXPECT_EQ(root_of("a0"), before_);
    EXPECT_EQ(error_of(netlink().change_htb(absent_ifindex, {.rate_bps = 1'000'000})).code, Code::no_device);
    run("tc qdisc add dev a0 root handle 7: htb");
    const auto foreign = run("tc -d qdisc show dev a0");
    EXPECT_NE(error_of(netlink().change_htb(a_, {.rate_bps = 1'000'000})).sys, 0);
    EXPECT_EQ(run("tc -d qdisc show dev a0"), foreign);
}

TEST_F(Htb, KeepsItsQueuesInAChange) {
    ASSERT_OK(netlink().add_htb(a_, {.rate_bps = 1'000'000, .leaf_limit_bytes = 1000}));
    ASSERT_OK(netlink().change_htb(a_, {.rate_bps = 50'000'000, .leaf_limit_bytes = 70'000}));
    EXPECT_EQ(root_of("a0"), "htb 4e41:");
    const auto classes = shown_classes("a0");
    EXPECT_EQ(classes.at("4e41:1").rate, "50Mbit");
    EXPECT_EQ(classes.at("4e41:10").leaf, "4e43:");
    EXPECT_EQ(classes.at("4e41:20").leaf, "4e44:");
    EXPECT_EQ(shown_queue_limits("a0").at("4e41:10"), 70'000U);
    EXPECT_EQ(shown_queue_limits("a0").at("4e41:20"), 70'000U);
}

struct Step {
    int type;
    int nth;
    const char* object;  // that the error names
    friend std::ostream& operator<<(std::ostream& out, const Step& s) { return out << s.object; }
};
class HtbStep : public Htb, public ::testing::WithParamInterface<Step> {};

TEST_P(HtbStep, ThatFailsLeavesNothing) {
    const auto& param = GetParam();
    const RefusedRequest refused(param.type, param.nth);
    const auto error = error_of(netlink().add_htb(a_, {.rate_bps = 1'000'000, .leaf_limit_bytes = 1000}));
    EXPECT_TRUE(refused.happened());
    EXPECT_EQ(error.code, Code::kernel);
    EXPECT_EQ(error.sys, EOPNOTSUPP);
    EXPECT_THAT(error.what, HasSubstr(param.object));
    EXPECT_EQ(root_of("a0"), before_);
    EXPECT_TRUE(shown_classes("a0").empty());
    EXPECT_TRUE(shown_queue_limits("a0").empty());
    // Nor is anything in the way of the next attempt.
    EXPECT_OK(netlink().add_htb(a_, {.rate_bps = 1'000'000, .leaf_limit_bytes = 1000}));
}

INSTANTIATE_TEST_SUITE_P(All, HtbStep,
                         ::testing::Values(Step{RTM_NEWQDISC, 1, "htb qdisc"}, Step{RTM_NEWTCLASS, 1, "root htb class"},
                                           Step{RTM_NEWTCLASS, 2, "small htb class"},
                                           Step{RTM_NEWTCLASS, 3, "heavy htb class"},
                                           Step{RTM_NEWQDISC, 2, "bfifo queue of small"},
                                           Step{RTM_NEWQDISC, 3, "bfifo queue of heavy"}));

TEST_F(Htb, HoldsBackWhatNobodyClassified) {
    ASSERT_OK(netlink().add_htb(a_, {.rate_bps = 10'000'000, .burst_ns = 1 * ms, .leaf_limit_bytes = 1 << 20}));
    Wire wire(Wire::open(a_), Wire::open(ifindex("b0")));
    wire.send(10, 0);
    EXPECT_EQ(wire.receive(10), 10);
    const auto shown = run("tc -s class show dev a0 classid 4e41:20");
    EXPECT_THAT(shown, HasSubstr("Sent 10000 bytes 10 pkt"));
}

class HtbChange : public Htb, public ::testing::WithParamInterface<std::uint64_t> {};

// 100 kB wait in the queues when the rate changes.
TEST_P(HtbChange, LosesNothingThatWaits) {
    ASSERT_OK(netlink().add_htb(a_, {.rate_bps = 200'000, .burst_ns = 1 * ms, .leaf_limit_bytes = 1 << 20}));
    Wire wire(Wire::open(a_), Wire::open(ifindex("b0")));
    wire.send(50, 0x4e410020);
    wire.send(50, 0x4e410010);
    const auto waiting = run_json("tc -j -s qdisc show dev a0").at(0);
    EXPECT_GE(waiting.at("qlen"), 80);
    ASSERT_OK(netlink().change_htb(a_, {.rate_bps = GetParam(), .burst_ns = 1 * ms, .leaf_limit_bytes = 1000}));
    EXPECT_EQ(run_json("tc -j -s qdisc show dev a0").at(0).at("drops"), 0);
    EXPECT_EQ(wire.receive(100), 100);
}

INSTANTIATE_TEST_SUITE_P(ToOtherRates, HtbChange, ::testing::Values(150'000, 400'000, 10'000'000, 1'000'000'000));

}  // namespace
}  // namespace natra::datapath::testing
