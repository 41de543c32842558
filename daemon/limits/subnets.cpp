// SPDX-License-Identifier: Apache-2.0
#include "daemon/limits/subnets.hpp"

#include <arpa/inet.h>

#include <charconv>
#include <nlohmann/json.hpp>

namespace natra::limits {
namespace {

using Code = Error::Code;

constexpr unsigned byte_bits = 8;

void clear_host_bits(Subnet& subnet) {
    for (unsigned i = 0; i < subnet.address.size(); ++i) {
        const auto kept = subnet.prefix_length > i * byte_bits ? subnet.prefix_length - i * byte_bits : 0;
        if (kept >= byte_bits) continue;
        subnet.address.at(i) = static_cast<std::uint8_t>(subnet.address.at(i) & (0xff00U >> kept));
    }
}

Result<std::vector<Subnet>> parse_list(std::string_view field, const std::vector<std::string>& texts) {
    if (texts.size() > max_subnets)
        return fail(Code::invalid_argument, field, ": ", texts.size(), " subnets, at most ", max_subnets,
                    " are possible");
    std::vector<Subnet> out;
    for (const auto& text : texts) {
        auto subnet = parse_subnet(text);
        if (!subnet) {
            const auto quoted = nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
            return fail(Code::invalid_argument, "bad subnet ", quoted, " provided, details ", subnet.error().what);
        }
        out.push_back(*subnet);
    }
    return out;
}

}  // namespace

Result<Subnet> parse_subnet(std::string_view text) {
    const auto wrong = [text] { return fail(Code::invalid_argument, "invalid CIDR address: ", text); };
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) return wrong();
    const std::string address(text.substr(0, slash));
    const auto length = text.substr(slash + 1);
    Subnet out;
    out.ipv6 = address.find(':') != std::string::npos;
    // A NUL would end the text for the function.
    if (address.find('\0') != std::string::npos) return wrong();
    if (::inet_pton(out.ipv6 ? AF_INET6 : AF_INET, address.c_str(), out.address.data()) != 1) return wrong();
    const char* const end = length.data() + length.size();
    const auto [stop, error] = std::from_chars(length.data(), end, out.prefix_length);
    if (length.empty() || error != std::errc{} || stop != end || out.prefix_length > (out.ipv6 ? 128U : 32U))
        return wrong();
    clear_host_bits(out);
    return out;
}

std::string to_string(const Subnet& subnet) {
    char text[INET6_ADDRSTRLEN] = "";
    ::inet_ntop(subnet.ipv6 ? AF_INET6 : AF_INET, subnet.address.data(), text, sizeof text);
    return concat(static_cast<const char*>(text), "/", subnet.prefix_length);
}

std::vector<std::string> to_strings(const std::vector<Subnet>& subnets) {
    std::vector<std::string> out;
    out.reserve(subnets.size());
    for (const auto& subnet : subnets) out.push_back(to_string(subnet));
    return out;
}

Result<SubnetRules> parse_subnet_rules(const std::vector<std::string>& shaped,
                                       const std::vector<std::string>& unshaped) {
    auto excluded = parse_list("unshapedSubnets", unshaped);
    if (!excluded) return excluded.error();
    auto included = parse_list("shapedSubnets", shaped);
    if (!included) return included.error();
    if (!included->empty() && !excluded->empty())
        return fail(Code::invalid_argument, "unshapedSubnets and shapedSubnets cannot be both specified, one of them "
                                            "should be discarded");
    return SubnetRules{.shaped = *std::move(included), .unshaped = *std::move(excluded)};
}

}  // namespace natra::limits
