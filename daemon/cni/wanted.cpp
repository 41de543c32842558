// SPDX-License-Identifier: Apache-2.0
#include "daemon/cni/wanted.hpp"

#include "daemon/cni/annotations.hpp"
#include "daemon/cni/bandwidth.hpp"
#include "daemon/cni/subnets.hpp"

namespace natra::cni {

CniResult<Wanted> read_wanted(const Json& configuration) {
    const auto limits = read_limits(configuration);
    if (!limits) return limits.error();
    auto policy = read_policy(configuration);
    if (!policy) return policy.error();
    auto subnets = read_subnets(configuration);
    if (!subnets) return subnets.error();
    auto annotations = read_annotations(configuration);
    // By being there, static keys decide: with all of them 0 the pod is not limited, whatever it asks for.
    if (has_static_limits(configuration) && !limits->any()) annotations.relevant.clear();
    return Wanted{*std::move(policy), *limits, *std::move(subnets), std::move(annotations.relevant),
                  std::move(annotations.problems)};
}

}  // namespace natra::cni
