// SPDX-License-Identifier: Apache-2.0
// What the program takes a packet's flow to be: read back from the table of
// heavy flows, in which every packet here lands.
#include <arpa/inet.h>

#include <cstring>
#include <vector>

#include "fixture.hpp"

namespace natra::test {
namespace {

using datapath::Shaper;

natra_flow_key key(int family, const char* source, const char* destination, std::uint8_t protocol, std::uint16_t sport,
                   std::uint16_t dport) {
    natra_flow_key key{};
    EXPECT_EQ(inet_pton(family, source, key.saddr), 1);
    EXPECT_EQ(inet_pton(family, destination, key.daddr), 1);
    key.ethertype = htons(family == AF_INET ? 0x0800 : 0x86dd);
    key.protocol = protocol;
    key.sport = htons(sport);
    key.dport = htons(dport);
    return key;
}

natra_flow_key key4(std::uint8_t protocol, std::uint16_t sport = 0, std::uint16_t dport = 0) {
    return key(AF_INET, "10.0.0.1", "10.0.0.2", protocol, sport, dport);
}
natra_flow_key key6(std::uint8_t protocol, std::uint16_t sport = 0, std::uint16_t dport = 0) {
    return key(AF_INET6, "fd00::1", "fd00::2", protocol, sport, dport);
}
natra_flow_key key_macs(std::uint16_t ethertype) {
    natra_flow_key key{};
    const std::uint8_t source[] = {2, 0, 0, 0, 0, 1};
    const std::uint8_t destination[] = {2, 0, 0, 0, 0, 2};
    std::memcpy(key.saddr, source, sizeof(source));
    std::memcpy(key.daddr, destination, sizeof(destination));
    key.ethertype = htons(ethertype);
    return key;
}

std::string to_text(const natra_flow_key& key) {
    char source[INET6_ADDRSTRLEN];
    char destination[INET6_ADDRSTRLEN];
    const int family = key.ethertype == htons(0x0800) ? AF_INET : AF_INET6;
    inet_ntop(family, key.saddr, source, sizeof(source));
    inet_ntop(family, key.daddr, destination, sizeof(destination));
    return std::string(source) + ":" + std::to_string(ntohs(key.sport)) + " > " + destination + ":" +
           std::to_string(ntohs(key.dport)) + " ethertype " + std::to_string(ntohs(key.ethertype)) + " protocol " +
           std::to_string(key.protocol);
}

struct KeyCase {
    std::string name;
    Bytes packet;
    natra_flow_key key;
    bool unparsed = false;
};

Bytes cut(Bytes bytes, std::size_t length) {
    bytes.resize(length);
    return bytes;
}
Bytes with_byte(Bytes bytes, std::size_t offset, std::uint8_t value) {
    bytes.at(offset) = value;
    return bytes;
}

class FlowKey : public LimiterTest {
protected:
    void expect(const std::vector<KeyCase>& cases) {
        limit(Shaper::edt);
        make_all_heavy();
        config().flags |= flags_;
        for (const KeyCase& one : cases) {
            SCOPED_TRACE(one.name);
            std::memset(state().heavy, 0, sizeof(state().heavy));
            state().total_clock_ns = 0;
            state().unparsed_packets = 0;
            EXPECT_EQ(limiter().run(one.packet).verdict, verdict_pass);
            EXPECT_EQ(state().unparsed_packets, one.unparsed ? 1U : 0U);
            const natra_heavy_flow* flow = limiter().heavy_flow(0);
            ASSERT_NE(flow, nullptr);
            EXPECT_EQ(to_text(flow->key), to_text(one.key));
            EXPECT_EQ(std::memcmp(&flow->key, &one.key, sizeof(one.key)), 0) << "padding or unused address bytes";
            EXPECT_EQ(flow->bytes, one.packet.size());
        }
    }
    std::uint32_t flags_ = 0;  // of the configuration
};
NATRA_BOTH_VARIANTS(FlowKey);

// Devices such as tun and wireguard: packets begin with their IP header.
class NoLinkHeader : public FlowKey {
protected:
    void SetUp() override {
        FlowKey::SetUp();
        flags_ = NATRA_F_NO_LINK_HEADER;
    }
};
NATRA_BOTH_VARIANTS(NoLinkHeader);

TEST_P(NoLinkHeader, KeysAreThoseOfTheIpHeader) {
    const Layer v4 = ip4("10.0.0.1", "10.0.0.2");
    const Layer v6 = ip6("fd00::1", "fd00::2");
    expect({
        {"tcp", (v4 / tcp() / payload(100)).bytes(), key4(6, 1000, 2000)},
        {"udp", (v4 / udp(53, 40000)).bytes(), key4(17, 53, 40000)},
        {"ip options", (ip4("10.0.0.1", "10.0.0.2", {.option_words = 10}) / udp()).bytes(), key4(17, 1000, 2000)},
        {"icmp", (v4 / icmp() / payload(10)).bytes(), key4(1)},
        {"fragment", (ip4("10.0.0.1", "10.0.0.2", {.fragment_offset = 100}) / udp() / payload(100)).bytes(), key4(17)},
        {"tcp over ipv6", (v6 / tcp() / payload(100)).bytes(), key6(6, 1000, 2000)},
        {"udp over ipv6", (v6 / udp(53, 40000)).bytes(), key6(17, 53, 40000)},
        {"extension headers",
         (v6 / extension(Extension::hop_by_hop) / extension(Extension::dest_options, 3) / udp()).bytes(),
         key6(17, 1000, 2000)},
    });
}

TEST_P(NoLinkHeader, WhatIsNotIpIsOneFlow) {
    // a test run takes skb->protocol from where Ethernet has it
    natra_flow_key key{};
    key.ethertype = 0xffff;
    expect({{"neither 4 nor 6", Bytes(60, 0xff), key}});
}

TEST_P(NoLinkHeader, TruncatedPacketsAreLimitedLikeOthers) {
    natra_flow_key no_address{};
    no_address.ethertype = htons(0x0800);
    expect({
        {"in the ip header", cut((ip4("10.0.0.1", "10.0.0.2") / udp()).bytes(), 19), no_address, true},
        {"before the ports", cut((ip4("10.0.0.1", "10.0.0.2") / udp()).bytes(), 23), key4(17), true},
    });
}

const Packet v4 = eth / ip4("10.0.0.1", "10.0.0.2");
const Packet v6 = eth / ip6("fd00::1", "fd00::2");

TEST_P(FlowKey, Ipv4) {
    expect({
        {"tcp", (v4 / tcp({.sport = 1, .dport = 65535}) / payload(100)).bytes(), key4(6, 1, 65535)},
        {"tcp with options", (v4 / tcp({.option_words = 10}) / payload(1)).bytes(), key4(6, 1000, 2000)},
        {"tcp syn", (v4 / tcp({.flags = flag_syn})).bytes(), key4(6, 1000, 2000)},
        {"udp", (v4 / udp(53, 40000) / payload(100)).bytes(), key4(17, 53, 40000)},
        {"udp, empty", (v4 / udp()).bytes(), key4(17, 1000, 2000)},
        {"udp-lite", (v4 / udplite() / payload(10)).bytes(), key4(136, 1000, 2000)},
        {"sctp", (v4 / sctp() / payload(10)).bytes(), key4(132, 1000, 2000)},
        {"dccp", (v4 / dccp() / payload(10)).bytes(), key4(33, 1000, 2000)},
        {"icmp", (v4 / icmp() / payload(10)).bytes(), key4(1)},
        {"gre", (v4 / other_protocol(47) / payload(30, 0xff)).bytes(), key4(47)},
        {"esp", (v4 / other_protocol(50) / payload(30, 0xff)).bytes(), key4(50)},
        {"protocol 0", (v4 / other_protocol(0) / payload(30, 0xff)).bytes(), key4(0)},
        {"ipv6 inside", (v4 / ip6("::1", "::2") / udp()).bytes(), key4(41)},
    });
}

TEST_P(FlowKey, Ipv4OptionsMoveThePorts) {
    for (std::uint8_t words = 1; words <= 10; ++words) {
        const Packet ip = eth / ip4("10.0.0.1", "10.0.0.2", {.option_words = words});
        expect({{std::to_string(words) + " words, tcp", (ip / tcp() / payload(1)).bytes(), key4(6, 1000, 2000)},
                {std::to_string(words) + " words, udp", (ip / udp()).bytes(), key4(17, 1000, 2000)}});
    }
}

TEST_P(FlowKey, Ipv4FragmentsAreOneFlowWithoutPorts) {
    const auto fragment = [](std::uint16_t offset, bool more) {
        return (eth / ip4("10.0.0.1", "10.0.0.2", {.fragment_offset = offset, .more_fragments = more}) / udp() /
                payload(100, 0xff))
            .bytes();
    };
    expect({{"first", fragment(0, true), key4(17)},
            {"middle", fragment(185, true), key4(17)},
            {"last", fragment(8191, false), key4(17)},
            {"don't fragment is no fragment", with_byte((v4 / udp()).bytes(), 20, 0x40), key4(17, 1000, 2000)}});
}

TEST_P(FlowKey, VlanTagsAreSkipped) {
    const Packet tagged = eth / vlan(5);
    const Packet twice = eth / vlan(5, 0x88a8) / vlan(6);
    const Layer ipv4 = ip4("10.0.0.1", "10.0.0.2");
    const Layer ipv6 = ip6("fd00::1", "fd00::2");
    expect(
        {{"one, tcp", (tagged / ipv4 / tcp() / payload(10)).bytes(), key4(6, 1000, 2000)},
         {"one, ipv6", (tagged / ipv6 / udp()).bytes(), key6(17, 1000, 2000)},
         {"two, udp", (twice / ipv4 / udp()).bytes(), key4(17, 1000, 2000)},
         {"two, ipv6 extension", (twice / ipv6 / extension(Extension::routing) / udp()).bytes(), key6(17, 1000, 2000)},
         {"two, arp", (twice / arp()).bytes(), key_macs(0x0806)},
         {"three are not looked through", (twice / vlan(7) / ipv4 / udp()).bytes(), key_macs(0x8100)}});
}

TEST_P(FlowKey, Ipv6) {
    expect({
        {"tcp", (v6 / tcp() / payload(100)).bytes(), key6(6, 1000, 2000)},
        {"udp", (v6 / udp(1, 2)).bytes(), key6(17, 1, 2)},
        {"udp-lite", (v6 / udplite()).bytes(), key6(136, 1000, 2000)},
        {"sctp", (v6 / sctp()).bytes(), key6(132, 1000, 2000)},
        {"dccp", (v6 / dccp()).bytes(), key6(33, 1000, 2000)},
        {"icmpv6", (v6 / icmp6()).bytes(), key6(58)},
        {"esp", (v6 / other_protocol(50) / payload(30, 0xff)).bytes(), key6(50)},
        {"nothing", (v6 / payload(30, 0xff)).bytes(), key6(59)},
    });
}

TEST_P(FlowKey, Ipv6ExtensionHeadersAreSkipped) {
    const auto behind = [](const Layer& header) { return (v6 / header / tcp() / payload(9)).bytes(); };
    const natra_flow_key expected = key6(6, 1000, 2000);
    Packet eight = v6;
    Packet nine = v6 / extension(Extension::dest_options);
    for (int i = 0; i < 8; ++i) {
        eight = eight / extension(Extension::dest_options);
        nine = nine / extension(Extension::dest_options);
    }
    expect({
        {"hop-by-hop", behind(extension(Extension::hop_by_hop)), expected},
        {"routing", behind(extension(Extension::routing, 4)), expected},
        {"destination options", behind(extension(Extension::dest_options, 30)), expected},
        {"authentication", behind(extension(Extension::ah, 6)), expected},
        {"mobility", behind(extension(Extension::mobility)), expected},
        {"atomic fragment", behind(fragment6(0, false)), expected},
        {"in a row",
         (v6 / extension(Extension::hop_by_hop) / extension(Extension::dest_options, 1) /
          extension(Extension::routing, 2) / fragment6(0, false) / extension(Extension::ah, 3) / udp())
             .bytes(),
         key6(17, 1000, 2000)},
        {"eight", (eight / sctp()).bytes(), key6(132, 1000, 2000)},
        {"before icmpv6", (v6 / extension(Extension::hop_by_hop) / icmp6()).bytes(), key6(58)},
        {"before esp", (v6 / extension(Extension::hop_by_hop) / other_protocol(50)).bytes(), key6(50)},
        {"longest", behind(extension(Extension::dest_options, 255)), expected},
        {"nine are too many", (nine / udp()).bytes(), key6(60), true},
    });
}

TEST_P(FlowKey, Ipv6FragmentsAreOneFlowWithoutPorts) {
    const auto fragment = [](std::uint16_t offset, bool more) {
        return (v6 / fragment6(offset, more) / udp() / payload(100, 0xff)).bytes();
    };
    expect(
        {{"first", fragment(0, true), key6(17)},
         {"middle", fragment(185, true), key6(17)},
         {"last", fragment(8191, false), key6(17)},
         {"behind hop-by-hop", (v6 / extension(Extension::hop_by_hop) / fragment6(9, false) / tcp()).bytes(), key6(6)},
         {"of destination options", (v6 / fragment6(0, true) / extension(Extension::dest_options) / udp()).bytes(),
          key6(60)}});
}

TEST_P(FlowKey, OtherEthertypesAreFlowsOfTheirAddresses) {
    expect({{"arp", (eth / arp()).bytes(), key_macs(0x0806)},
            {"lldp", (eth / other_ethertype(0x88cc) / payload(100)).bytes(), key_macs(0x88cc)},
            {"802.3, 100 bytes", (eth / other_ethertype(100) / payload(100)).bytes(), key_macs(0)},
            {"802.3, 1500 bytes", (eth / other_ethertype(1500) / payload(1500)).bytes(), key_macs(0)},
            {"mpls", (eth / other_ethertype(0x8847) / payload(60)).bytes(), key_macs(0x8847)}});
}

TEST_P(FlowKey, MalformedPacketsKeepTheKeyOfWhatCanBeRead) {
    const Bytes udp4 = (v4 / udp() / payload(100)).bytes();
    const Bytes udp6 = (v6 / udp() / payload(100)).bytes();
    expect({{"ipv4 of version 6", with_byte(udp4, 14, 0x65), key_macs(0x0800), true},
            {"ipv4 header of 16 bytes", with_byte(udp4, 14, 0x44), key_macs(0x0800), true},
            {"ipv6 of version 4", with_byte(udp6, 14, 0x40), key_macs(0x86dd), true},
            {"ipv4 header beyond the packet", cut(with_byte(udp4, 14, 0x4f), 50), key4(17), true}});
}

TEST_P(FlowKey, TruncatedPacketsKeepTheKeyOfWhatCanBeRead) {
    const Bytes tcp4 = (v4 / tcp() / payload(10)).bytes();
    const Bytes tagged4 = (eth / vlan(5) / ip4("10.0.0.1", "10.0.0.2") / tcp() / payload(10)).bytes();
    const Bytes tagged6 = (eth / vlan(5) / ip6("fd00::1", "fd00::2") / udp() / payload(10)).bytes();
    const Bytes options6 = (v6 / extension(Extension::dest_options, 1) / udp() / payload(10)).bytes();
    expect({{"tcp header missing", cut(tcp4, 34), key4(6), true},
            {"tcp header cut before its flags", cut(tcp4, 47), key4(6), true},
            {"tcp header cut behind its flags", cut(tcp4, 48), key4(6, 1000, 2000)},
            {"vlan tag missing", cut(tagged4, 15), key_macs(0), true},
            {"vlan tag cut", cut(tagged4, 17), key_macs(0), true},
            {"ipv4 header missing", cut(tagged4, 18), key_macs(0x0800), true},
            {"ipv4 header cut", cut(tagged4, 37), key_macs(0x0800), true},
            {"ipv6 header cut", cut(tagged6, 57), key_macs(0x86dd), true},
            {"udp header missing", cut(tagged6, 58), key6(17), true},
            {"udp ports cut", cut(tagged6, 61), key6(17), true},
            {"extension header missing", cut(options6, 54), key6(60), true},
            {"extension header cut", cut(options6, 61), key6(60), true},
            {"transport header behind it cut", cut(options6, 73), key6(17), true}});
}

TEST_P(FlowKey, HashesDependOnEveryPartAndOnTheSeed) {
    limit(Shaper::edt);
    make_all_heavy();
    const auto hash_of = [&](const Packet& packet) {
        std::memset(state().heavy, 0, sizeof(state().heavy));
        limiter().run(packet);
        return limiter().heavy_flow(0)->hash;
    };
    const auto v4_udp = [](const char* source, const char* destination, std::uint16_t sport, std::uint16_t dport) {
        return eth / ip4(source, destination) / udp(sport, dport);
    };
    const std::uint64_t base = hash_of(v4_udp("10.0.0.1", "10.0.0.2", 1, 2));
    EXPECT_EQ(hash_of(v4_udp("10.0.0.1", "10.0.0.2", 1, 2)), base);
    EXPECT_NE(hash_of(v4_udp("10.0.0.3", "10.0.0.2", 1, 2)), base);
    EXPECT_NE(hash_of(v4_udp("10.0.0.1", "10.0.0.3", 1, 2)), base);
    EXPECT_NE(hash_of(v4_udp("10.0.0.1", "10.0.0.2", 3, 2)), base);
    EXPECT_NE(hash_of(v4_udp("10.0.0.1", "10.0.0.2", 1, 3)), base);
    EXPECT_NE(hash_of(v4_udp("10.0.0.2", "10.0.0.1", 2, 1)), base) << "the other direction is another flow";
    EXPECT_NE(hash_of(eth / ip4("10.0.0.1", "10.0.0.2") / udplite(1, 2)), base);
    const std::uint64_t base6 = hash_of(eth / ip6("fd00::1", "fd00::2") / udp());
    EXPECT_NE(hash_of(eth / ip6("fd01::1", "fd00::2") / udp()), base6);
    EXPECT_NE(hash_of(eth / ip6("fd00::2", "fd00::2") / udp()), base6);
    EXPECT_NE(hash_of(eth / ip6("fd00::1", "fd01::2") / udp()), base6);
    EXPECT_NE(hash_of(eth / ip6("fd00::1", "fd00::3") / udp()), base6);
    EXPECT_NE(hash_of(ethernet(1, 3) / arp()), hash_of(ethernet(1, 2) / arp()));
    state().seed[0] ^= 1;
    EXPECT_NE(hash_of(v4_udp("10.0.0.1", "10.0.0.2", 1, 2)), base);
    state().seed[0] ^= 1;
    state().seed[1] ^= 1ULL << 40;
    EXPECT_NE(hash_of(v4_udp("10.0.0.1", "10.0.0.2", 1, 2)), base);
}

}  // namespace
}  // namespace natra::test
