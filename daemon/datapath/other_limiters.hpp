// SPDX-License-Identifier: Apache-2.0
// What others on the node hold pods back with.
#pragma once

#include <map>
#include <set>
#include <string>

#include "daemon/datapath/netlink.hpp"

namespace natra::datapath {

struct OtherLimiters {
    std::set<int> token_buckets;  // devices of the host with a TBF at the root: natra has none
    std::set<std::string> ifbs;   // names of the host's IFB devices
    // Cilium's bandwidth manager is on: the agent removes the pinned map where it is off.
    bool cilium = false;
    bool cilium_to_pods = false;  // it limits what goes to some pod, too
    friend bool operator==(const OtherLimiters&, const OtherLimiters&) = default;
};

// bpffs: where BPF objects are pinned, "/sys/fs/bpf".
Result<OtherLimiters> find_other_limiters(Netlink& host, const std::string& bpffs);

}  // namespace natra::datapath
