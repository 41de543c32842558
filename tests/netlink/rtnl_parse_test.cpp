// SPDX-License-Identifier: Apache-2.0
// Bytes as the kernel sends them, and as nobody should.
#include "daemon/datapath/rtnl_parse.hpp"

#include <gtest/gtest.h>
#include <linux/gen_stats.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <cerrno>
#include <random>
#include <vector>

#include "daemon/datapath/link_monitor.hpp"

namespace natra::datapath {
namespace {

using Buffer = std::vector<std::byte>;

Buffer operator+(Buffer a, const Buffer& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

template <class Struct> Buffer raw(const Struct& value) {
    const auto* const bytes = reinterpret_cast<const std::byte*>(&value);
    return {bytes, bytes + sizeof value};
}

Buffer padded(Buffer bytes) {
    bytes.resize(NLMSG_ALIGN(bytes.size()));
    return bytes;
}

Buffer attribute(int type, const Buffer& value) {
    const nlattr header{.nla_len = static_cast<std::uint16_t>(sizeof(nlattr) + value.size()),
                        .nla_type = static_cast<std::uint16_t>(type)};
    return padded(raw(header) + value);
}
Buffer attribute(int type, const std::string& text) {
    const auto* const bytes = reinterpret_cast<const std::byte*>(text.c_str());
    return attribute(type, Buffer(bytes, bytes + text.size() + 1));
}
Buffer attribute(int type, std::uint32_t value) { return attribute(type, raw(value)); }

Buffer message(int type, const Buffer& payload, int flags = 0) {
    const nlmsghdr header{.nlmsg_len = static_cast<std::uint32_t>(sizeof(nlmsghdr) + payload.size()),
                          .nlmsg_type = static_cast<std::uint16_t>(type),
                          .nlmsg_flags = static_cast<std::uint16_t>(flags),
                          .nlmsg_seq = 7,
                          .nlmsg_pid = 0};
    return padded(raw(header) + payload);
}

NetlinkMessage only_message(const Buffer& datagram) {
    std::optional<NetlinkMessage> out;
    for_each_message(datagram, [&](const NetlinkMessage& m) {
        EXPECT_FALSE(out);
        out = m;
    });
    EXPECT_TRUE(out);
    return out.value_or(NetlinkMessage{});
}

Buffer link(int type, int ifindex, const std::string& name, int family = AF_UNSPEC) {
    ifinfomsg info{};
    info.ifi_family = static_cast<std::uint8_t>(family);
    info.ifi_index = ifindex;
    info.ifi_flags = IFF_UP | IFF_RUNNING;
    return message(type, raw(info) + attribute(IFLA_IFNAME, name) + attribute(IFLA_MTU, 1400U) +
                             attribute(IFLA_LINK, 12U) +
                             // the kernel marks some nests with a flag in the type
                             attribute(IFLA_LINKINFO | NLA_F_NESTED, attribute(IFLA_INFO_KIND, std::string("veth"))));
}

Buffer filter(const std::string& kind) {
    tcmsg tc{};
    tc.tcm_ifindex = 3;
    tc.tcm_handle = 2;
    tc.tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS);
    tc.tcm_info = TC_H_MAKE(49152U << 16, 0x0300U);
    return message(RTM_NEWTFILTER, raw(tc) + attribute(TCA_KIND, kind) +
                                       attribute(TCA_OPTIONS, attribute(TCA_BPF_NAME, std::string("natra")) +
                                                                  attribute(TCA_BPF_ID, 42U)));
}

TEST(RtnlParse, ReadsALink) {
    const auto parsed = parse_link(only_message(link(RTM_NEWLINK, 11, "eth0")));
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->ifindex, 11);
    EXPECT_EQ(parsed->name, "eth0");
    EXPECT_EQ(parsed->kind, "veth");
    EXPECT_EQ(parsed->peer_ifindex, 12);
    EXPECT_EQ(parsed->mtu, 1400U);
    EXPECT_TRUE(parsed->up);
    EXPECT_FALSE(parse_link(only_message(link(RTM_DELLINK, 11, "eth0"))));
}

Buffer link_of_kind(const std::string& kind, const Buffer& data) {
    ifinfomsg info{};
    info.ifi_index = 4;
    return message(RTM_NEWLINK,
                   raw(info) + attribute(IFLA_LINK_NETNSID, 3U) +
                       attribute(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, kind) + attribute(IFLA_INFO_DATA, data)));
}

TEST(RtnlParse, ReadsTheModeOfAnIpvlanAndOfNothingElse) {
    const auto mode = attribute(IFLA_IPVLAN_MODE, raw(std::uint16_t{2}));
    const auto ipvlan = parse_link(only_message(link_of_kind("ipvlan", mode)));
    ASSERT_TRUE(ipvlan);
    EXPECT_EQ(ipvlan->ipvlan_mode, 2);
    EXPECT_EQ(ipvlan->peer_nsid, 3);
    const auto macvlan = parse_link(only_message(link_of_kind("macvlan", mode)));
    ASSERT_TRUE(macvlan);
    EXPECT_FALSE(macvlan->ipvlan_mode);
    const auto cut = parse_link(only_message(link_of_kind("ipvlan", attribute(IFLA_IPVLAN_MODE, Buffer(1)))));
    ASSERT_TRUE(cut);
    EXPECT_FALSE(cut->ipvlan_mode);
}

TEST(RtnlParse, ReadsTheNumberOfANamespace) {
    const auto reply = [](int nsid) {
        return only_message(message(RTM_NEWNSID, padded(raw(rtgenmsg{})) + attribute(NETNSA_NSID, raw(nsid))));
    };
    EXPECT_EQ(parse_nsid(reply(0)), 0);
    EXPECT_EQ(parse_nsid(reply(7)), 7);
    EXPECT_FALSE(parse_nsid(reply(NETNSA_NSID_NOT_ASSIGNED)));
    EXPECT_FALSE(parse_nsid(only_message(message(RTM_NEWNSID, Buffer()))));
    EXPECT_FALSE(parse_nsid(only_message(link(RTM_NEWLINK, 11, "eth0"))));
}

TEST(RtnlParse, ReadsATokenBucket) {
    const gnet_stats_queue queue{.qlen = 5, .backlog = 5000, .drops = 7, .requeues = 8, .overlimits = 9};
    const auto few = attribute(TCA_STATS_BASIC, raw(gnet_stats_basic{.bytes = 1, .packets = 2})) +
                     attribute(TCA_STATS_QUEUE, raw(queue));
    const auto parse = [&](const std::string& kind, const Buffer& options, const Buffer& statistics) {
        return parse_token_bucket(only_message(message(RTM_NEWQDISC, raw(tcmsg{}) + attribute(TCA_KIND, kind) +
                                                                         attribute(TCA_OPTIONS, options) +
                                                                         attribute(TCA_STATS2, statistics))));
    };
    tc_tbf_qopt parameters{};
    parameters.rate.rate = 1250;
    const auto slow = attribute(TCA_TBF_PARMS, raw(parameters));
    constexpr std::uint64_t many = 5'000'000'000;
    EXPECT_EQ(parse("tbf", slow, few),
              (TokenBucket{.rate_bps = 10'000, .offered = 2 + 5 + 7, .offered_bytes = 1 + 5000 + 7 * 1514}));
    EXPECT_EQ(parse("tbf", slow + attribute(TCA_TBF_RATE64, raw(many)), few)->rate_bps, 8 * many);
    EXPECT_EQ(parse("tbf", slow, few + attribute(TCA_STATS_PKT64, raw(many)))->offered, many + 5 + 7);
    EXPECT_EQ(parse("tbf", {}, {}), TokenBucket());
    EXPECT_EQ(parse("htb", slow, few), std::nullopt);
}

TEST(RtnlParse, ReadsAQdisc) {
    tcmsg tc{};
    tc.tcm_ifindex = 3;
    tc.tcm_handle = 0x4e410000;
    tc.tcm_parent = TC_H_ROOT;
    const gnet_stats_queue queue{.qlen = 5, .backlog = 5000, .drops = 7, .requeues = 8, .overlimits = 9};
    const auto statistics = attribute(TCA_STATS_BASIC, raw(gnet_stats_basic{.bytes = 1, .packets = 2})) +
                            attribute(TCA_STATS_QUEUE, raw(queue));
    const auto parsed = parse_qdisc(only_message(
        message(RTM_NEWQDISC, raw(tc) + attribute(TCA_KIND, std::string("htb")) + attribute(TCA_STATS2, statistics))));
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->queued_packets, 5U);
    EXPECT_EQ(parsed->queued_bytes, 5000U);
    EXPECT_EQ(parsed->ifindex, 3);
    EXPECT_EQ(parsed->kind, "htb");
    EXPECT_EQ(parsed->handle, 0x4e410000U);
    EXPECT_EQ(parsed->parent, TC_H_ROOT);
}

TEST(RtnlParse, ReadsFiltersAndTheOptionsOfBpfOnesOnly) {
    const auto bpf = parse_filter(only_message(filter("bpf")));
    ASSERT_TRUE(bpf);
    EXPECT_EQ(bpf->priority, 49152U);
    EXPECT_EQ(bpf->handle, 2U);
    EXPECT_EQ(bpf->name, "natra");
    EXPECT_EQ(bpf->prog_id, 42U);
    const auto u32 = parse_filter(only_message(filter("u32")));
    ASSERT_TRUE(u32);
    EXPECT_EQ(u32->kind, "u32");
    EXPECT_EQ(u32->name, "");
    EXPECT_EQ(u32->prog_id, 0U);
}

Buffer refusal(int error, int flags, const Buffer& rest) {
    const nlmsghdr request{
        .nlmsg_len = 36, .nlmsg_type = RTM_NEWQDISC, .nlmsg_flags = 0, .nlmsg_seq = 7, .nlmsg_pid = 0};
    return message(NLMSG_ERROR, raw(error) + raw(request) + rest, flags);
}

TEST(RtnlParse, ReadsWhyTheKernelRefused) {
    const auto why = attribute(NLMSGERR_ATTR_OFFS, 20U) + attribute(NLMSGERR_ATTR_MSG, std::string("no room"));
    const auto capped = parse_outcome(only_message(refusal(-ENOSPC, NLM_F_CAPPED | NLM_F_ACK_TLVS, why)));
    ASSERT_TRUE(capped);
    EXPECT_EQ(capped->error, ENOSPC);
    EXPECT_EQ(capped->text, "no room");
    // Not capped: the whole request, 36 bytes, is repeated before the text.
    const auto whole = parse_outcome(only_message(refusal(-ENOSPC, NLM_F_ACK_TLVS, Buffer(20) + why)));
    ASSERT_TRUE(whole);
    EXPECT_EQ(whole->text, "no room");
    const auto wordless = parse_outcome(only_message(refusal(-ENOSPC, NLM_F_CAPPED, {})));
    ASSERT_TRUE(wordless);
    EXPECT_EQ(wordless->error, ENOSPC);
    EXPECT_EQ(wordless->text, "");
}

TEST(RtnlParse, ReadsSuccess) {
    const auto acknowledged = parse_outcome(only_message(refusal(0, NLM_F_CAPPED, {})));
    ASSERT_TRUE(acknowledged);
    EXPECT_EQ(acknowledged->error, 0);
    const auto done = parse_outcome(only_message(message(NLMSG_DONE, raw(0), NLM_F_MULTI)));
    ASSERT_TRUE(done);
    EXPECT_EQ(done->error, 0);
    const auto bare = parse_outcome(only_message(message(NLMSG_DONE, {}, NLM_F_MULTI)));
    ASSERT_TRUE(bare);
    EXPECT_EQ(bare->error, 0);
}

// A dump that broke off ends like one that did not, but for this number.
TEST(RtnlParse, ReadsThatADumpFailed) {
    const auto failed = parse_outcome(
        only_message(message(NLMSG_DONE, raw(-EMSGSIZE) + attribute(NLMSGERR_ATTR_MSG, std::string("too big")),
                             NLM_F_MULTI | NLM_F_ACK_TLVS)));
    ASSERT_TRUE(failed);
    EXPECT_EQ(failed->error, EMSGSIZE);
    EXPECT_EQ(failed->text, "too big");
}

TEST(RtnlParse, TakesOnlyEndsForEnds) {
    EXPECT_FALSE(parse_outcome(only_message(link(RTM_NEWLINK, 1, "lo"))));
    EXPECT_FALSE(parse_outcome(only_message(message(NLMSG_ERROR, Buffer(3)))));
    EXPECT_FALSE(parse_outcome(only_message(message(NLMSG_NOOP, raw(0)))));
    const auto wild = parse_outcome(only_message(refusal(-2'000'000'000, NLM_F_CAPPED, {})));
    ASSERT_TRUE(wild);
    EXPECT_EQ(wild->error, 0);
}

TEST(RtnlParse, ReadsEveryLinkEventOfADatagram) {
    const auto events =
        parse_link_events(link(RTM_NEWLINK, 3, "a") + link(RTM_DELLINK, 4, "bcdef") +
                          link(RTM_DELLINK, 5, "port", AF_BRIDGE) + filter("bpf") + link(RTM_NEWLINK, 6, ""));
    ASSERT_EQ(events.size(), 3U);
    EXPECT_FALSE(events[0].deleted);
    EXPECT_EQ(events[0].ifindex, 3);
    EXPECT_EQ(events[0].name, "a");
    EXPECT_TRUE(events[1].deleted);
    EXPECT_EQ(events[1].ifindex, 4);
    EXPECT_EQ(events[1].name, "bcdef");
    EXPECT_EQ(events[2].ifindex, 6);
    EXPECT_EQ(events[2].name, "");
}

TEST(RtnlParse, StopsAtALengthThatCannotBe) {
    for (const std::uint32_t length : {0U, 15U, 1000U, 0x80000000U, 0xffffffffU}) {
        auto datagram = link(RTM_NEWLINK, 3, "a") + link(RTM_NEWLINK, 4, "b");
        const auto second = link(RTM_NEWLINK, 3, "a").size();
        std::memcpy(datagram.data() + second, &length, sizeof length);
        EXPECT_EQ(parse_link_events(datagram).size(), 1U) << length;
    }
    EXPECT_TRUE(parse_link_events({}).empty());
    EXPECT_TRUE(parse_link_events(Buffer(15)).empty());
}

TEST(RtnlParse, StopsAtAnAttributeThatReachesBeyond) {
    for (const auto length : std::initializer_list<std::uint16_t>{0, 3, 200, 0xffff}) {
        ifinfomsg info{};
        info.ifi_index = 9;
        auto name = attribute(IFLA_IFNAME, std::string("eth0"));
        std::memcpy(name.data(), &length, sizeof length);
        const auto parsed =
            parse_link(only_message(message(RTM_NEWLINK, raw(info) + attribute(IFLA_MTU, 9000U) + name)));
        ASSERT_TRUE(parsed);
        EXPECT_EQ(parsed->ifindex, 9);
        EXPECT_EQ(parsed->mtu, 9000U);
        EXPECT_EQ(parsed->name, "");
    }
}

TEST(RtnlParse, TakesValuesThatAreTooShortForNone) {
    ifinfomsg info{};
    const auto parsed = parse_link(only_message(message(
        RTM_NEWLINK, raw(info) + attribute(IFLA_MTU, Buffer(2)) + attribute(IFLA_LINK, Buffer{}) +
                         attribute(IFLA_LINKINFO, Buffer(1)) + attribute(IFLA_IFNAME, Buffer{std::byte{'x'}}))));
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->mtu, 0U);
    EXPECT_EQ(parsed->peer_ifindex, 0);
    EXPECT_EQ(parsed->kind, "");
    EXPECT_EQ(parsed->name, "x");  // no NUL: what there is
    EXPECT_FALSE(parse_link(only_message(message(RTM_NEWLINK, Buffer(15)))));
    EXPECT_FALSE(parse_qdisc(only_message(message(RTM_NEWQDISC, Buffer(19)))));
    EXPECT_FALSE(parse_filter(only_message(message(RTM_NEWTFILTER, Buffer(19)))));
}

// Every prefix and 200 000 mutations of real messages: nothing is read beyond the
// bytes given, which are a heap block of just their size (run under ASan or valgrind to see).
TEST(RtnlParse, SurvivesAnyBytes) {
    std::minstd_rand random(1);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same cases on each run
    const auto parse_all = [](const Buffer& bytes) {
        std::size_t seen = 0;
        for_each_message(bytes, [&](const NetlinkMessage& m) {
            if (parse_link(m)) ++seen;
            if (parse_qdisc(m)) ++seen;
            if (parse_filter(m)) ++seen;
            if (parse_outcome(m)) ++seen;
        });
        return seen + parse_link_events(bytes).size();
    };
    const auto why = attribute(NLMSGERR_ATTR_MSG, std::string("no room"));
    for (const auto& original : {link(RTM_NEWLINK, 3, "eth0") + link(RTM_DELLINK, 4, "eth1"), filter("bpf"),
                                 refusal(-ENOSPC, NLM_F_ACK_TLVS, Buffer(20) + why)}) {
        EXPECT_GT(parse_all(original), 0U);
        for (std::size_t n = 0; n < original.size(); ++n) {
            const Buffer prefix(original.begin(), original.begin() + static_cast<std::ptrdiff_t>(n));
            (void)parse_all(prefix);
        }
        for (int i = 0; i < 70'000; ++i) {
            auto mutated = original;
            for (auto changes = random() % 4 + 1; changes > 0; --changes)
                mutated[random() % mutated.size()] = static_cast<std::byte>(random());
            EXPECT_LE(parse_all(mutated), mutated.size());
        }
    }
}

}  // namespace
}  // namespace natra::datapath
