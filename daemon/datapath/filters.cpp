// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>

#include <cerrno>

#include "daemon/datapath/netlink_socket.hpp"

namespace natra::datapath {
namespace {

using Code = Error::Code;

std::uint32_t info_word(std::uint32_t priority) { return TC_H_MAKE(priority << 16, htons(ETH_P_ALL)); }

void read_bpf_options(const nlattr* options, BpfFilter& filter) {
    for_each_nested_attribute(options, [&](const nlattr* attribute) {
        if (mnl_attr_get_type(attribute) == TCA_BPF_NAME) filter.name = mnl_attr_get_str(attribute);
        if (mnl_attr_get_type(attribute) == TCA_BPF_ID) filter.prog_id = mnl_attr_get_u32(attribute);
    });
}

BpfFilter read_filter(const nlmsghdr* header) {
    const auto* tc = static_cast<const tcmsg*>(mnl_nlmsg_get_payload(header));
    BpfFilter filter{.parent = tc->tcm_parent, .priority = TC_H_MAJ(tc->tcm_info) >> 16, .handle = tc->tcm_handle};
    const nlattr* options = nullptr;
    for_each_attribute(header, sizeof(tcmsg), [&](const nlattr* attribute) {
        if (mnl_attr_get_type(attribute) == TCA_KIND) filter.kind = mnl_attr_get_str(attribute);
        if (mnl_attr_get_type(attribute) == TCA_OPTIONS) options = attribute;
    });
    if (options != nullptr && filter.kind == "bpf") read_bpf_options(options, filter);
    return filter;
}

}  // namespace

Result<std::vector<BpfFilter>> Netlink::filters(int ifindex, std::uint32_t parent) {
    NetlinkRequest request(RTM_GETTFILTER, NLM_F_DUMP, ifindex, parent, 0);
    std::vector<BpfFilter> out;
    const auto listed = socket_->exchange(request, concat("filters of ifindex ", ifindex), [&](const nlmsghdr* header) {
        if (header->nlmsg_type != RTM_NEWTFILTER) return;
        auto filter = read_filter(header);
        // A classifier without a handle is the chain's priority itself, not a filter in it.
        if (filter.handle != 0) out.push_back(std::move(filter));
    });
    if (listed) return out;
    // No qdisc there, or no such device any more: no filters either.
    if (listed.error().sys == EINVAL || listed.error().sys == ENODEV || listed.error().sys == ENOENT)
        return std::vector<BpfFilter>{};
    return listed.error();
}

Result<BpfFilter> Netlink::add_bpf_filter(int ifindex, std::uint32_t parent, std::uint32_t priority, int prog_fd,
                                          std::string_view name) {
    // Echo: the kernel tells the handle and priority that it chose.
    NetlinkRequest request(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO, ifindex, parent, 0,
                           info_word(priority));
    request.put(TCA_KIND, "bpf");
    request.nest(TCA_OPTIONS, [&] {
        request.put_u32(TCA_BPF_FD, static_cast<std::uint32_t>(prog_fd));
        request.put(TCA_BPF_NAME, name);
        request.put_u32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
    });
    BpfFilter placed;
    const auto added = socket_->exchange(request, concat("bpf filter on ifindex ", ifindex), [&](const nlmsghdr* header) {
        if (header->nlmsg_type == RTM_NEWTFILTER) placed = read_filter(header);
    });
    if (!added) return added.error();
    if (placed.handle == 0) return fail(Code::kernel, "bpf filter on ifindex ", ifindex, ": the kernel named no handle");
    return placed;
}

Result<void> Netlink::delete_filter(int ifindex, const BpfFilter& filter) {
    NetlinkRequest request(RTM_DELTFILTER, 0, ifindex, filter.parent, filter.handle, info_word(filter.priority));
    request.put(TCA_KIND, "bpf");
    auto r = socket_->exchange(request, concat("delete bpf filter of ifindex ", ifindex));
    // ENOENT: no such filter; EINVAL: no clsact; ENODEV: no device.
    if (!r && (r.error().sys == ENOENT || r.error().sys == EINVAL || r.error().sys == ENODEV)) return {};
    return r;
}

}  // namespace natra::datapath
