// SPDX-License-Identifier: Apache-2.0
// Packets as expressions: eth / vlan(5) / ip4("10.0.0.1", "10.0.0.2") / tcp({.sport = 80}) / payload(1000).
//
// Every layer takes the next one's protocol number and everybody's lengths when
// the packet is serialised; IPv4 header checksums are right, others are zero. To
// make a packet wrong on purpose, serialise it and edit the bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace natra::test {

using Bytes = std::vector<std::uint8_t>;

// What follows a layer.
struct Following {
    std::uint16_t ethertype;
    std::uint8_t protocol;
    std::size_t length;
};

struct Layer {
    std::uint16_t ethertype = 0;  // what a link layer calls this layer
    std::uint8_t protocol = 59;   // what an IP layer calls it; 59: nothing known
    std::function<Bytes(const Following&)> serialise;
};

class Packet {
public:
    Packet(Layer layer) { layers_.push_back(std::move(layer)); }

    Packet operator/(Layer layer) const;
    Bytes bytes() const;

private:
    std::vector<Layer> layers_;
};

inline Packet operator/(const Layer& a, const Layer& b) { return Packet(a) / b; }

// Link layer. `eth` goes from 02:00:00:00:00:01 to 02:00:00:00:00:02.
Layer ethernet(std::uint8_t source_last, std::uint8_t destination_last);
inline const Layer eth = ethernet(1, 2);
Layer vlan(std::uint16_t id, std::uint16_t tpid = 0x8100);
Layer arp();
// Any other ethertype, or an 802.3 length, before payload().
Layer other_ethertype(std::uint16_t ethertype);

struct Ip4Fields {
    unsigned ecn = 0;
    std::uint8_t option_words = 0;      // 32-bit words of padding options
    std::uint16_t fragment_offset = 0;  // in 8 bytes
    bool more_fragments = false;
    std::uint8_t protocol = 0;  // 0: the next layer's
};
Layer ip4(const std::string& source, const std::string& destination, Ip4Fields fields = {});

struct Ip6Fields {
    unsigned ecn = 0;
    std::uint8_t next_header = 0;  // 0: the next layer's
};
Layer ip6(const std::string& source, const std::string& destination, Ip6Fields fields = {});

// IPv6 extension headers; extra: units beyond the smallest header (8 bytes; 4 for AH).
enum class Extension : std::uint8_t { hop_by_hop = 0, routing = 43, ah = 51, dest_options = 60, mobility = 135 };
Layer extension(Extension type, std::uint8_t extra = 0);
Layer fragment6(std::uint16_t offset, bool more);

enum TcpFlags : std::uint8_t { flag_fin = 1, flag_syn = 2, flag_rst = 4, flag_psh = 8, flag_ack = 16 };
struct TcpFields {
    std::uint16_t sport = 1000;
    std::uint16_t dport = 2000;
    unsigned flags = flag_ack;
    std::uint8_t option_words = 0;
};
Layer tcp(TcpFields fields = {});
Layer udp(std::uint16_t sport = 1000, std::uint16_t dport = 2000);
Layer udplite(std::uint16_t sport = 1000, std::uint16_t dport = 2000);
Layer sctp(std::uint16_t sport = 1000, std::uint16_t dport = 2000);
Layer dccp(std::uint16_t sport = 1000, std::uint16_t dport = 2000);
Layer icmp();
Layer icmp6();
// A protocol that the program knows nothing about.
Layer other_protocol(std::uint8_t protocol);
Layer payload(std::size_t length, std::uint8_t fill = 0);

}  // namespace natra::test
