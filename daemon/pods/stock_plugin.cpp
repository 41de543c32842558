// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/stock_plugin.hpp"

#include "daemon/pods/digest.hpp"
#include "daemon/util/error.hpp"

namespace natra::pods {

std::string stock_ifb_name(std::string_view network, std::string_view container_id) {
    constexpr std::size_t digits = 12;
    return concat("bwp", sha512_hex(concat(network, container_id)).substr(0, digits));
}

}  // namespace natra::pods
