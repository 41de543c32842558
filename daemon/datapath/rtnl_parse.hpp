// SPDX-License-Identifier: Apache-2.0
// Pure parsers of rtnetlink messages. They take any bytes: what is cut short or
// malformed is left out, and nothing is read beyond its span.
#pragma once

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <type_traits>

#include "daemon/datapath/netlink.hpp"

namespace natra::datapath {

using Bytes = std::span<const std::byte>;

struct NetlinkMessage {
    nlmsghdr header;
    Bytes payload;
};

// The end of a request: an acknowledgement or the end of a dump.
struct NetlinkOutcome {
    int error = 0;     // errno; 0 is success
    std::string text;  // the kernel's own words about an error, where it sends any
};

// RTM_NEWLINK.
std::optional<Link> parse_link(const NetlinkMessage& message);
// The number in an RTM_NEWNSID; absent if the namespace has none.
std::optional<int> parse_nsid(const NetlinkMessage& message);
// RTM_NEWQDISC.
std::optional<Qdisc> parse_qdisc(const NetlinkMessage& message);
std::optional<TokenBucket> parse_token_bucket(const NetlinkMessage& message);  // absent: of another kind
// RTM_NEWTFILTER of any kind.
std::optional<BpfFilter> parse_filter(const NetlinkMessage& message);
// NLMSG_ERROR or NLMSG_DONE.
std::optional<NetlinkOutcome> parse_outcome(const NetlinkMessage& message);

// The Struct that `bytes` begins with.
template <class Struct>
requires std::is_trivially_copyable_v<Struct> std::optional<Struct> read_struct(Bytes bytes) {
    if (bytes.size() < sizeof(Struct)) return std::nullopt;
    Struct out{};
    std::memcpy(&out, bytes.data(), sizeof out);
    return out;
}

// What precedes the first NUL.
std::string read_text(Bytes bytes);

// What follows the first `used` bytes and the padding behind them; nothing if there is no more.
constexpr Bytes rest_of(Bytes bytes, std::size_t used) {
    const std::size_t aligned = (used + NLMSG_ALIGNTO - 1) / NLMSG_ALIGNTO * NLMSG_ALIGNTO;
    return aligned < bytes.size() ? bytes.subspan(aligned) : Bytes{};
}

// visit(const NetlinkMessage&) for each message of a datagram.
template <class Visit> void for_each_message(Bytes datagram, Visit visit) {
    while (const auto header = read_struct<nlmsghdr>(datagram)) {
        if (header->nlmsg_len < sizeof(nlmsghdr) || header->nlmsg_len > datagram.size()) return;
        visit(NetlinkMessage{*header, datagram.subspan(sizeof(nlmsghdr), header->nlmsg_len - sizeof(nlmsghdr))});
        datagram = rest_of(datagram, header->nlmsg_len);
    }
}

// visit(type, value) for each of a row of attributes, which is also what a nested attribute's value is.
template <class Visit> void for_each_attribute(Bytes attributes, Visit visit) {
    while (const auto attribute = read_struct<nlattr>(attributes)) {
        if (attribute->nla_len < sizeof(nlattr) || attribute->nla_len > attributes.size()) return;
        const int type = attribute->nla_type & NLA_TYPE_MASK;
        visit(type, attributes.subspan(sizeof(nlattr), attribute->nla_len - sizeof(nlattr)));
        attributes = rest_of(attributes, attribute->nla_len);
    }
}

}  // namespace natra::datapath
