// SPDX-License-Identifier: Apache-2.0
#include "packet.hpp"

#include <arpa/inet.h>

#include <array>
#include <stdexcept>

namespace natra::test {
namespace {

constexpr std::uint8_t high(std::size_t value) { return static_cast<std::uint8_t>(value >> 8); }
constexpr std::uint8_t low(std::size_t value) { return static_cast<std::uint8_t>(value); }

void put16(Bytes& bytes, std::size_t offset, std::size_t value) {
    bytes.at(offset) = high(value);
    bytes.at(offset + 1) = low(value);
}

void put_address(Bytes& bytes, std::size_t offset, int family, const std::string& text) {
    if (inet_pton(family, text.c_str(), &bytes.at(offset)) != 1) {
        throw std::invalid_argument("not an address: " + text);
    }
}

std::uint16_t internet_checksum(const Bytes& bytes) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
        sum += static_cast<std::uint32_t>(bytes[i] << 8 | bytes[i + 1]);
    }
    while (sum >> 16 != 0) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return static_cast<std::uint16_t>(~sum);
}

// A transport header that starts with both ports and is zero otherwise.
Layer with_ports(std::uint8_t protocol, std::size_t length, std::uint16_t sport, std::uint16_t dport) {
    return {.protocol = protocol, .serialise = [=](const Following&) {
                Bytes header(length);
                put16(header, 0, sport);
                put16(header, 2, dport);
                return header;
            }};
}

Layer blank(std::uint16_t ethertype, std::uint8_t protocol, std::size_t length) {
    return {.ethertype = ethertype, .protocol = protocol, .serialise = [=](const Following&) { return Bytes(length); }};
}

}  // namespace

Packet Packet::operator/(Layer layer) const {
    Packet longer = *this;
    longer.layers_.push_back(std::move(layer));
    return longer;
}

Bytes Packet::bytes() const {
    Bytes tail;
    Following following{.ethertype = 0, .protocol = 59, .length = 0};
    for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) {
        Bytes head = layer->serialise(following);
        head.insert(head.end(), tail.begin(), tail.end());
        tail = std::move(head);
        following = {.ethertype = layer->ethertype, .protocol = layer->protocol, .length = tail.size()};
    }
    return tail;
}

Layer ethernet(std::uint8_t source_last, std::uint8_t destination_last) {
    return {.serialise = [=](const Following& next) {
        Bytes header{2, 0, 0, 0, 0, destination_last, 2, 0, 0, 0, 0, source_last, 0, 0};
        put16(header, 12, next.ethertype);
        return header;
    }};
}

Layer vlan(std::uint16_t id, std::uint16_t tpid) {
    return {.ethertype = tpid, .serialise = [=](const Following& next) {
                Bytes tag(4);
                put16(tag, 0, id);
                put16(tag, 2, next.ethertype);
                return tag;
            }};
}

Layer arp() { return blank(0x0806, 59, 28); }
Layer other_ethertype(std::uint16_t ethertype) { return blank(ethertype, 59, 0); }

Layer ip4(const std::string& source, const std::string& destination, Ip4Fields fields) {
    return {.ethertype = 0x0800, .protocol = 4, .serialise = [=](const Following& next) {
                Bytes header(20U + fields.option_words * 4U, 1);  // options are padding (type 1)
                header[0] = static_cast<std::uint8_t>(0x40 | (header.size() / 4));
                header[1] = static_cast<std::uint8_t>(fields.ecn);
                put16(header, 2, header.size() + next.length);
                put16(header, 4, 0);
                put16(header, 6, fields.fragment_offset | (fields.more_fragments ? 0x2000U : 0U));
                header[8] = 64;
                header[9] = fields.protocol != 0 ? fields.protocol : next.protocol;
                put16(header, 10, 0);
                put_address(header, 12, AF_INET, source);
                put_address(header, 16, AF_INET, destination);
                put16(header, 10, internet_checksum(header));
                return header;
            }};
}

Layer ip6(const std::string& source, const std::string& destination, Ip6Fields fields) {
    return {.ethertype = 0x86dd, .protocol = 41, .serialise = [=](const Following& next) {
                Bytes header(40);
                header[0] = 0x60;
                header[1] = static_cast<std::uint8_t>(fields.ecn << 4);
                put16(header, 4, next.length);
                header[6] = fields.next_header != 0 ? fields.next_header : next.protocol;
                header[7] = 64;
                put_address(header, 8, AF_INET6, source);
                put_address(header, 24, AF_INET6, destination);
                return header;
            }};
}

Layer extension(Extension type, std::uint8_t extra) {
    return {.protocol = static_cast<std::uint8_t>(type), .serialise = [=](const Following& next) {
                // AH counts 32-bit words less two, the others 64-bit words less one
                const bool ah = type == Extension::ah;
                Bytes header(ah ? 12U + extra * 4U : 8U + extra * 8U);
                header[0] = next.protocol;
                header[1] = ah ? static_cast<std::uint8_t>(extra + 1) : extra;
                return header;
            }};
}

Layer fragment6(std::uint16_t offset, bool more) {
    return {.protocol = 44, .serialise = [=](const Following& next) {
                Bytes header(8);
                header[0] = next.protocol;
                put16(header, 2, static_cast<std::size_t>(offset) << 3 | (more ? 1U : 0U));
                return header;
            }};
}

Layer tcp(TcpFields fields) {
    return {.protocol = 6, .serialise = [=](const Following&) {
                Bytes header(20U + fields.option_words * 4U);
                put16(header, 0, fields.sport);
                put16(header, 2, fields.dport);
                header[12] = static_cast<std::uint8_t>(header.size() / 4 << 4);
                header[13] = static_cast<std::uint8_t>(fields.flags);
                return header;
            }};
}

Layer udp(std::uint16_t sport, std::uint16_t dport) { return with_ports(17, 8, sport, dport); }
Layer udplite(std::uint16_t sport, std::uint16_t dport) { return with_ports(136, 8, sport, dport); }
Layer sctp(std::uint16_t sport, std::uint16_t dport) { return with_ports(132, 12, sport, dport); }
Layer dccp(std::uint16_t sport, std::uint16_t dport) { return with_ports(33, 16, sport, dport); }
Layer icmp() { return blank(0, 1, 8); }
Layer icmp6() { return blank(0, 58, 8); }
Layer other_protocol(std::uint8_t protocol) { return blank(0, protocol, 0); }

Layer payload(std::size_t length, std::uint8_t fill) {
    return {.serialise = [=](const Following&) { return Bytes(length, fill); }};
}

}  // namespace natra::test
