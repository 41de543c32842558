// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/rtnl_parse.hpp"

#include <linux/gen_stats.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/pkt_cls.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>

namespace natra::datapath {
namespace {

std::uint32_t read_u32(Bytes value) { return read_struct<std::uint32_t>(value).value_or(0); }

std::string read_hardware_address(Bytes value) {
    constexpr std::string_view hex = "0123456789abcdef";
    std::string out;
    for (const auto byte : value) {
        if (!out.empty()) out += ':';
        out += hex[std::to_integer<unsigned>(byte) >> 4];
        out += hex[std::to_integer<unsigned>(byte) & 0xf];
    }
    return out;
}

void read_link_info(Bytes link_info, Link& link) {
    Bytes data;
    for_each_attribute(link_info, [&](int type, Bytes value) {
        if (type == IFLA_INFO_KIND) link.kind = read_text(value);
        if (type == IFLA_INFO_DATA) data = value;
    });
    // Attribute numbers mean something else in every other kind.
    if (link.kind != "ipvlan") return;
    for_each_attribute(data, [&](int type, Bytes value) {
        if (type == IFLA_IPVLAN_MODE) link.ipvlan_mode = read_struct<std::uint16_t>(value);
    });
}

void read_queue(Bytes statistics, Qdisc& qdisc) {
    for_each_attribute(statistics, [&](int type, Bytes value) {
        if (type != TCA_STATS_QUEUE) return;
        const auto queue = read_struct<gnet_stats_queue>(value);
        if (!queue) return;
        qdisc.queued_packets = queue->qlen;
        qdisc.queued_bytes = queue->backlog;
    });
}

// gnet_stats_basic without its end, which kernels fill differently.
struct BasicStatistics {
    std::uint64_t bytes;
    std::uint32_t packets;
    std::uint32_t padding;
};

void read_offered(Bytes statistics, TokenBucket& bucket) {
    constexpr std::uint64_t full_frame = 1514;
    std::uint64_t sent = 0;
    std::optional<std::uint64_t> sent64;  // where the other one may have wrapped
    std::uint64_t not_sent = 0;
    for_each_attribute(statistics, [&](int type, Bytes value) {
        if (type == TCA_STATS_BASIC)
            if (const auto basic = read_struct<BasicStatistics>(value)) {
                sent = basic->packets;
                bucket.offered_bytes += basic->bytes;
            }
        if (type == TCA_STATS_PKT64) sent64 = read_struct<std::uint64_t>(value);
        if (type == TCA_STATS_QUEUE)
            if (const auto queue = read_struct<gnet_stats_queue>(value)) {
                not_sent = std::uint64_t{queue->qlen} + queue->drops;
                bucket.offered_bytes += queue->backlog + queue->drops * full_frame;
            }
    });
    bucket.offered = sent64.value_or(sent) + not_sent;
}

std::uint64_t read_tbf_rate(Bytes options) {
    constexpr std::uint64_t bits = 8;
    std::uint64_t bytes_per_second = 0;
    std::optional<std::uint64_t> large;  // that does not fit into the other one
    for_each_attribute(options, [&](int type, Bytes value) {
        if (type == TCA_TBF_PARMS)
            if (const auto parameters = read_struct<tc_tbf_qopt>(value)) bytes_per_second = parameters->rate.rate;
        if (type == TCA_TBF_RATE64) large = read_struct<std::uint64_t>(value);
    });
    return bits * large.value_or(bytes_per_second);
}

void read_bpf_options(Bytes options, BpfFilter& filter) {
    for_each_attribute(options, [&](int type, Bytes value) {
        if (type == TCA_BPF_NAME) filter.name = read_text(value);
        if (type == TCA_BPF_ID) filter.prog_id = read_u32(value);
    });
}

}  // namespace

std::string read_text(Bytes bytes) {
    const auto end = std::find(bytes.begin(), bytes.end(), std::byte{0});
    std::string text;
    std::transform(bytes.begin(), end, std::back_inserter(text), [](std::byte b) { return static_cast<char>(b); });
    return text;
}

std::optional<Link> parse_link(const NetlinkMessage& message) {
    const auto info = read_struct<ifinfomsg>(message.payload);
    if (message.header.nlmsg_type != RTM_NEWLINK || !info) return std::nullopt;
    Link link{.ifindex = info->ifi_index, .type = info->ifi_type, .up = (info->ifi_flags & IFF_UP) != 0};
    for_each_attribute(rest_of(message.payload, sizeof *info), [&](int type, Bytes value) {
        switch (type) {
        case IFLA_IFNAME: link.name = read_text(value); break;
        case IFLA_ADDRESS: link.address = read_hardware_address(value); break;
        case IFLA_LINK: link.peer_ifindex = static_cast<int>(read_u32(value)); break;
        case IFLA_MTU: link.mtu = read_u32(value); break;
        case IFLA_LINK_NETNSID: link.peer_nsid = read_struct<int>(value); break;
        case IFLA_LINKINFO: read_link_info(value, link); break;
        default: break;
        }
    });
    return link;
}

std::optional<int> parse_nsid(const NetlinkMessage& message) {
    if (message.header.nlmsg_type != RTM_NEWNSID || message.payload.size() < sizeof(rtgenmsg)) return std::nullopt;
    std::optional<int> nsid;
    for_each_attribute(rest_of(message.payload, sizeof(rtgenmsg)), [&](int type, Bytes value) {
        if (type == NETNSA_NSID) nsid = read_struct<int>(value);
    });
    return nsid && *nsid != NETNSA_NSID_NOT_ASSIGNED ? nsid : std::nullopt;
}

std::optional<Qdisc> parse_qdisc(const NetlinkMessage& message) {
    const auto tc = read_struct<tcmsg>(message.payload);
    if (message.header.nlmsg_type != RTM_NEWQDISC || !tc) return std::nullopt;
    Qdisc qdisc{.ifindex = tc->tcm_ifindex, .handle = tc->tcm_handle, .parent = tc->tcm_parent};
    for_each_attribute(rest_of(message.payload, sizeof *tc), [&](int type, Bytes value) {
        if (type == TCA_KIND) qdisc.kind = read_text(value);
        if (type == TCA_STATS2) read_queue(value, qdisc);
    });
    return qdisc;
}

std::optional<TokenBucket> parse_token_bucket(const NetlinkMessage& message) {
    const auto tc = read_struct<tcmsg>(message.payload);
    if (message.header.nlmsg_type != RTM_NEWQDISC || !tc) return std::nullopt;
    std::string kind;
    Bytes options;
    TokenBucket bucket;
    for_each_attribute(rest_of(message.payload, sizeof *tc), [&](int type, Bytes value) {
        if (type == TCA_KIND) kind = read_text(value);
        if (type == TCA_STATS2) read_offered(value, bucket);
        if (type == TCA_OPTIONS) options = value;
    });
    // Attribute numbers mean something else in every other kind.
    if (kind != "tbf") return std::nullopt;
    bucket.rate_bps = read_tbf_rate(options);
    return bucket;
}

std::optional<BpfFilter> parse_filter(const NetlinkMessage& message) {
    const auto tc = read_struct<tcmsg>(message.payload);
    if (message.header.nlmsg_type != RTM_NEWTFILTER || !tc) return std::nullopt;
    BpfFilter filter{.parent = tc->tcm_parent, .priority = TC_H_MAJ(tc->tcm_info) >> 16, .handle = tc->tcm_handle};
    Bytes options;
    for_each_attribute(rest_of(message.payload, sizeof *tc), [&](int type, Bytes value) {
        if (type == TCA_KIND) filter.kind = read_text(value);
        if (type == TCA_OPTIONS) options = value;
    });
    // Attribute numbers mean something else in every other kind.
    if (filter.kind == "bpf") read_bpf_options(options, filter);
    return filter;
}

std::optional<NetlinkOutcome> parse_outcome(const NetlinkMessage& message) {
    const auto& header = message.header;
    if (header.nlmsg_type != NLMSG_ERROR && header.nlmsg_type != NLMSG_DONE) return std::nullopt;
    NetlinkOutcome outcome;
    const auto error = read_struct<int>(message.payload);
    // The end of a dump may carry nothing at all.
    if (!error && header.nlmsg_type == NLMSG_ERROR) return std::nullopt;
    // A negative errno; anything else but 0 is not the kernel's.
    if (error && *error < 0 && *error > -4096) outcome.error = -*error;
    if (outcome.error == 0 || (header.nlmsg_flags & NLM_F_ACK_TLVS) == 0) return outcome;
    std::size_t used = sizeof(int);
    if (header.nlmsg_type == NLMSG_ERROR) {
        // The refused request is repeated: its header at least, all of it unless capped.
        const auto refused = read_struct<nlmsghdr>(message.payload.subspan(used));
        if (!refused) return outcome;
        const bool capped = (header.nlmsg_flags & NLM_F_CAPPED) != 0;
        used += capped ? sizeof(nlmsghdr) : std::size_t{refused->nlmsg_len};
    }
    for_each_attribute(rest_of(message.payload, used), [&](int type, Bytes value) {
        if (type == NLMSGERR_ATTR_MSG) outcome.text = read_text(value);
    });
    return outcome;
}

}  // namespace natra::datapath
