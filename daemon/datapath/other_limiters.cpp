// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/other_limiters.hpp"

#include <bpf/bpf.h>

#include <cerrno>
#include <vector>

#include "daemon/datapath/engine.hpp"
#include "daemon/util/unique_fd.hpp"

namespace natra::datapath {
namespace {

// The keys are {u32 endpoint, u8 direction, ...}; before it could limit what goes to pods, other ones without it.
constexpr std::size_t key_bytes = 8;
constexpr std::size_t direction_at = 4;
constexpr char to_pods = 1;
constexpr int most_keys = 65536;

void look_at_cilium(const std::string& path, OtherLimiters& out) {
    const UniqueFd map(bpf_obj_get(path.c_str()));
    if (!map) return;
    out.cilium = true;
    bpf_map_info info{};
    __u32 length = sizeof info;
    if (bpf_map_get_info_by_fd(map.get(), &info, &length) < 0 || info.key_size != key_bytes) return;
    std::vector<char> key(key_bytes);
    std::vector<char> next(key_bytes);
    // It may change meanwhile: then the walk may begin anew.
    const void* from = nullptr;
    for (int i = 0; i < most_keys && bpf_map_get_next_key(map.get(), from, next.data()) == 0; ++i) {
        key = next;
        from = key.data();
        out.cilium_to_pods = out.cilium_to_pods || key[direction_at] == to_pods;
    }
}

}  // namespace

Result<OtherLimiters> find_other_limiters(Netlink& host, const std::string& bpffs) {
    OtherLimiters out;
    auto buckets = host.token_buckets();
    if (!buckets) return buckets.error();
    out.token_buckets = *std::move(buckets);
    const auto ifbs = host.links_of_kind("ifb");
    if (!ifbs) return ifbs.error();
    for (const auto& ifb : *ifbs) out.ifbs.emplace(ifb.name, ifb.ifindex);
    look_at_cilium(bpffs + "/tc/globals/cilium_throttle", out);
    return out;
}

Result<OtherLimiters> Engine::other_limiters() { return find_other_limiters(host_, bpffs_); }

}  // namespace natra::datapath
