// SPDX-License-Identifier: Apache-2.0
// What others on the node hold pods back with.
#pragma once

#include <map>
#include <string>

#include "daemon/datapath/netlink.hpp"

namespace natra::datapath {

struct OtherLimiters {
    std::map<int, TokenBucket> token_buckets;  // at the roots of the host's devices: natra has none
    std::map<std::string, int> ifbs;           // ifindex of the host's IFB devices, by name
    // Cilium's bandwidth manager is on: the agent removes the pinned map where it is off.
    bool cilium = false;
    bool cilium_to_pods = false;  // it limits what goes to some pod, too
};

// bpffs: where BPF objects are pinned, "/sys/fs/bpf".
Result<OtherLimiters> find_other_limiters(Netlink& host, const std::string& bpffs);

}  // namespace natra::datapath
