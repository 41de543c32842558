// SPDX-License-Identifier: Apache-2.0
// Qdiscs as wholes: what there is, fq, clsact, removal.
#include <linux/pkt_sched.h>

#include <cerrno>

#include "daemon/datapath/netlink_socket.hpp"

namespace natra::datapath {
namespace {

using Code = Error::Code;

constexpr std::uint32_t clsact_handle = TC_H_MAKE(TC_H_CLSACT, 0);

// The qdisc at a device's root or clsact hook; absent if it is one of the kernel's built-in ones.
Result<std::optional<Qdisc>> get_qdisc(Netlink::Socket& socket, int ifindex, std::uint32_t parent) {
    // Without echo the kernel answers to listeners of the group only.
    NetlinkRequest request(RTM_GETQDISC, NLM_F_ECHO, ifindex, parent, 0);
    const auto what =
        concat("look up ", parent == TC_H_ROOT ? "root" : "ingress or clsact", " qdisc of ifindex ", ifindex);
    std::optional<Qdisc> qdisc;
    const auto answered = socket.exchange(request, what, [&](const NetlinkMessage& message) {
        if (auto parsed = parse_qdisc(message)) qdisc = std::move(parsed);
    });
    if (!answered && answered.error().sys != ENOENT) return answered.error();
    return qdisc;
}

// Deletes the qdisc at `parent` if it has this handle and this kind.
Result<void> delete_qdisc(Netlink::Socket& socket, int ifindex, std::uint32_t parent, std::uint32_t handle,
                          std::string_view kind) {
    NetlinkRequest request(RTM_DELQDISC, 0, ifindex, parent, handle);
    request.put(TCA_KIND, kind);
    auto r = socket.exchange(request, concat("delete ", kind, " qdisc of ifindex ", ifindex));
    // ENOENT: none there but the default; EINVAL: another handle or kind; ENODEV: the device is gone.
    if (!r && (r.error().sys == ENOENT || r.error().sys == EINVAL || r.error().sys == ENODEV)) return {};
    return r;
}

// Packets without a socket (forwarded ones) share a queue of fq's with all whose hash is the same in these bits, and
// one that may leave at once waits behind that queue's first. By default 10 bits: beside 64 heavy flows 6 % of the
// others.
constexpr std::uint32_t orphan_mask = (1U << 14) - 1;

void put_fq(NetlinkRequest& request, const FqShape& shape) {
    request.put(TCA_KIND, "fq");
    request.nest(TCA_OPTIONS, [&] {
        request.put_u32(TCA_FQ_PLIMIT, shape.limit);
        request.put_u32(TCA_FQ_FLOW_PLIMIT, shape.flow_limit);
        request.put_u32(TCA_FQ_ORPHAN_MASK, orphan_mask);
    });
}

}  // namespace

Result<std::vector<Qdisc>> Netlink::qdiscs(int ifindex) {
    if (auto link = link_by_index(ifindex); !link) return link.error();
    // Asking for one device still lists every device of the namespace.
    auto out = qdiscs();
    if (out) std::erase_if(*out, [&](const Qdisc& qdisc) { return qdisc.ifindex != ifindex; });
    return out;
}

Result<std::vector<Qdisc>> Netlink::qdiscs() {
    NetlinkRequest request(RTM_GETQDISC, NLM_F_DUMP, 0, 0, 0);
    std::vector<Qdisc> out;
    const auto listed = socket_->exchange(request, "list qdiscs", [&](const NetlinkMessage& message) {
        if (auto qdisc = parse_qdisc(message)) out.push_back(*std::move(qdisc));
    });
    if (!listed) return listed.error();
    return out;
}

Result<std::map<int, TokenBucket>> Netlink::token_buckets() {
    NetlinkRequest request(RTM_GETQDISC, NLM_F_DUMP, 0, 0, 0);
    std::map<int, TokenBucket> out;
    const auto listed = socket_->exchange(request, "list token buckets", [&](const NetlinkMessage& message) {
        const auto qdisc = parse_qdisc(message);
        if (!qdisc || qdisc->parent != TC_H_ROOT) return;
        if (const auto bucket = parse_token_bucket(message)) out.emplace(qdisc->ifindex, *bucket);
    });
    if (!listed) return listed.error();
    return out;
}

Result<std::optional<Qdisc>> Netlink::root_qdisc(int ifindex) { return get_qdisc(*socket_, ifindex, TC_H_ROOT); }

Result<void> Netlink::add_root(NetlinkRequest& request, int ifindex, std::string_view kind) {
    const auto what = concat("add ", kind, " qdisc on ifindex ", ifindex);
    auto added = socket_->exchange(request, what);
    if (added || added.error().sys != EEXIST) return added;
    if (const auto root = root_qdisc(ifindex); root && *root)
        return fail_errno(Code::kernel, EEXIST, what, " over root qdisc ", (*root)->kind);
    return added;
}

// Nobody else's root may be replaced. Success for no handle.
Result<void> Netlink::expect_root(int ifindex, std::uint32_t handle) {
    if (handle == 0) return {};
    const auto root = root_qdisc(ifindex);
    if (!root) return root.error();
    if (*root && (*root)->handle == handle) return {};
    return fail_errno(Code::kernel, EEXIST, "replace root qdisc of ifindex ", ifindex, ": it is not natra's");
}

Result<void> Netlink::add_fq(int ifindex, const FqShape& shape, std::uint32_t replaces) {
    if (auto r = expect_root(ifindex, replaces); !r) return r;
    NetlinkRequest request(RTM_NEWQDISC, root_flags(replaces), ifindex, TC_H_ROOT, fq_handle);
    put_fq(request, shape);
    return add_root(request, ifindex, "fq");
}

Result<void> Netlink::change_fq(int ifindex, const FqShape& shape) {
    NetlinkRequest request(RTM_NEWQDISC, 0, ifindex, TC_H_ROOT, fq_handle);
    put_fq(request, shape);
    return socket_->exchange(request, concat("change fq qdisc on ifindex ", ifindex));
}

Result<void> Netlink::delete_root(int ifindex, std::uint32_t handle) {
    if (handle == htb_handle) return delete_qdisc(*socket_, ifindex, TC_H_ROOT, handle, "htb");
    if (handle == fq_handle) return delete_qdisc(*socket_, ifindex, TC_H_ROOT, handle, "fq");
    // Handle 0 would stand for whatever qdisc is there.
    return fail(Code::invalid_argument, "delete root qdisc of ifindex ", ifindex, ": handle ", handle, " is not ours");
}

Result<bool> Netlink::ensure_clsact(int ifindex) {
    NetlinkRequest request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, ifindex, TC_H_CLSACT, clsact_handle);
    request.put(TCA_KIND, "clsact");
    const auto what = concat("add clsact qdisc on ifindex ", ifindex);
    const auto added = socket_->exchange(request, what);
    if (added) return true;
    if (added.error().sys != EEXIST) return added.error();
    const auto present = get_qdisc(*socket_, ifindex, TC_H_CLSACT);
    if (!present) return present.error();
    if (!*present) return added.error();
    if ((*present)->kind == "clsact") return false;
    return fail_errno(Code::kernel, EEXIST, what, ": qdisc ", (*present)->kind, " is in its place");
}

Result<void> Netlink::delete_stock_ingress(int ifindex) {
    return delete_qdisc(*socket_, ifindex, TC_H_INGRESS, TC_H_MAKE(TC_H_INGRESS, 0), "ingress");
}

Result<void> Netlink::delete_stock_root(int ifindex) {
    if (auto r = delete_qdisc(*socket_, ifindex, TC_H_ROOT, stock_root_handle, "tbf"); !r) return r;
    return delete_qdisc(*socket_, ifindex, TC_H_ROOT, stock_root_handle, "htb");
}

Result<void> Netlink::delete_clsact(int ifindex) {
    return delete_qdisc(*socket_, ifindex, TC_H_CLSACT, clsact_handle, "clsact");
}

}  // namespace natra::datapath
