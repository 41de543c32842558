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

constexpr std::uint32_t max_priority = 0xffff;

std::uint32_t info_word(std::uint32_t priority) { return TC_H_MAKE(priority << 16, htons(ETH_P_ALL)); }

void put_program(NetlinkRequest& request, int prog_fd, std::string_view name, std::uint32_t classid = 0) {
    request.put(TCA_KIND, "bpf");
    request.nest(TCA_OPTIONS, [&] {
        if (classid != 0) request.put_u32(TCA_BPF_CLASSID, classid);
        request.put_struct(TCA_BPF_FD, prog_fd);
        request.put(TCA_BPF_NAME, name);
        request.put_u32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
    });
}

// To the kernel a handle of 0 means all filters of the priority, and a priority of 0 all of the hook.
Result<void> expect_one(const BpfFilter& filter, const std::string& what) {
    if (filter.handle != 0 && filter.priority != 0 && filter.priority <= max_priority) return {};
    return fail(Code::invalid_argument, what, ": priority ", filter.priority, " handle ", filter.handle,
                " do not name one filter");
}

}  // namespace

Result<std::vector<BpfFilter>> Netlink::filters(int ifindex, std::uint32_t parent) {
    NetlinkRequest request(RTM_GETTFILTER, NLM_F_DUMP, ifindex, parent, 0);
    std::vector<BpfFilter> out;
    const auto listed =
        socket_->exchange(request, concat("list filters of ifindex ", ifindex), [&](const NetlinkMessage& message) {
            auto filter = parse_filter(message);
            // A classifier without a handle is the chain's priority itself, not a filter in it.
            if (!filter || filter->handle == 0) return;
            filter->parent = parent;  // a shared block's filters name the block instead
            out.push_back(*std::move(filter));
        });
    if (listed) return out;
    // No qdisc there, or no such device any more: no filters either.
    if (listed.error().sys == EINVAL || listed.error().sys == ENODEV || listed.error().sys == ENOENT)
        return std::vector<BpfFilter>{};
    return listed.error();
}

Result<BpfFilter> Netlink::add_bpf_filter(int ifindex, std::uint32_t parent, std::uint32_t priority, int prog_fd,
                                          std::string_view name, std::uint32_t classid) {
    const auto what = concat("add bpf filter ", name, " on ifindex ", ifindex);
    if (priority > max_priority) return fail(Code::invalid_argument, what, ": priority ", priority, " is above 65535");
    // Echo: the kernel tells the handle and priority that it chose.
    NetlinkRequest request(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ECHO, ifindex, parent, 0,
                           info_word(priority));
    put_program(request, prog_fd, name, classid);
    std::optional<BpfFilter> placed;
    const auto added = socket_->exchange(request, what, [&](const NetlinkMessage& message) {
        if (auto filter = parse_filter(message)) placed = std::move(filter);
    });
    if (!added) return added.error();
    if (!placed || placed->handle == 0) return fail(Code::kernel, what, ": the kernel did not say where it is");
    placed->parent = parent;
    return *std::move(placed);
}

Result<void> Netlink::replace_bpf_filter(int ifindex, const BpfFilter& filter, int prog_fd) {
    const auto what = concat("replace bpf filter ", filter.name, " of ifindex ", ifindex);
    if (auto r = expect_one(filter, what); !r) return r;
    // Without NLM_F_CREATE: only what is there.
    NetlinkRequest request(RTM_NEWTFILTER, 0, ifindex, filter.parent, filter.handle, info_word(filter.priority));
    put_program(request, prog_fd, filter.name);
    return socket_->exchange(request, what);
}

Result<void> Netlink::delete_filter(int ifindex, const BpfFilter& filter) {
    const auto what = concat("delete bpf filter of ifindex ", ifindex);
    if (auto r = expect_one(filter, what); !r) return r;
    NetlinkRequest request(RTM_DELTFILTER, 0, ifindex, filter.parent, filter.handle, info_word(filter.priority));
    request.put(TCA_KIND, "bpf");
    auto r = socket_->exchange(request, what);
    // ENOENT: no such filter; EINVAL: no clsact, or another kind of filter; ENODEV: no device.
    if (!r && (r.error().sys == ENOENT || r.error().sys == EINVAL || r.error().sys == ENODEV)) return {};
    return r;
}

}  // namespace natra::datapath
