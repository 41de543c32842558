// SPDX-License-Identifier: Apache-2.0
// Limits that hold for some remote addresses only: the stock plugin's shapedSubnets and unshapedSubnets. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/util/error.hpp"

namespace natra::limits {

struct Subnet {
    bool ipv6 = false;
    unsigned prefix_length = 0;              // at most 32, or 128
    std::array<std::uint8_t, 16> address{};  // IPv4 in the first 4; host bits are 0
    friend bool operator==(const Subnet&, const Subnet&) = default;
};

// As the program's table.
inline constexpr std::size_t max_subnets = 16;

// At most one of the lists has entries.
struct SubnetRules {
    std::vector<Subnet> shaped;    // only traffic with these is limited
    std::vector<Subnet> unshaped;  // traffic with these is not
    friend bool operator==(const SubnetRules&, const SubnetRules&) = default;
};

// "10.0.0.0/8", "fd00::/8". Code::invalid_argument, worded as Go does: "invalid CIDR address: hello".
Result<Subnet> parse_subnet(std::string_view text);
std::string to_string(const Subnet& subnet);

// Code::invalid_argument with upstream's texts; beyond max_subnets, with natra's.
Result<SubnetRules> parse_subnet_rules(const std::vector<std::string>& shaped,
                                       const std::vector<std::string>& unshaped);

std::vector<std::string> to_strings(const std::vector<Subnet>& subnets);

}  // namespace natra::limits
