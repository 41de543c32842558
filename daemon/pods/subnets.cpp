// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/subnets.hpp"

#include <arpa/inet.h>
#include <linux/if_ether.h>

#include <algorithm>
#include <cstring>

namespace natra::pods {
namespace {

natra_subnet to_entry(const limits::Subnet& subnet) {
    constexpr unsigned byte_bits = 8;
    natra_subnet out{};
    std::array<std::uint8_t, 16> mask{};
    for (unsigned bit = 0; bit < subnet.prefix_length; ++bit)
        mask.at(bit / byte_bits) = static_cast<std::uint8_t>(mask.at(bit / byte_bits) | 0x80U >> bit % byte_bits);
    std::memcpy(out.address, subnet.address.data(), sizeof out.address);
    std::memcpy(out.mask, mask.data(), sizeof out.mask);
    out.ethertype = htons(subnet.ipv6 ? ETH_P_IPV6 : ETH_P_IP);
    return out;
}

}  // namespace

natra_subnets to_table(const limits::SubnetRules& rules) {
    natra_subnets out{};
    if (rules.shaped.empty() && rules.unshaped.empty()) return out;
    out.mode = rules.shaped.empty() ? NATRA_SUBNETS_UNSHAPED : NATRA_SUBNETS_SHAPED;
    const auto& list = rules.shaped.empty() ? rules.unshaped : rules.shaped;
    for (auto& entry : out.subnet) entry.ethertype = NATRA_SUBNET_UNUSED;
    std::transform(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(std::min(list.size(), limits::max_subnets)),
                   std::begin(out.subnet), to_entry);
    return out;
}

}  // namespace natra::pods
