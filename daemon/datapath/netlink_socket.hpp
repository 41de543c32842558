// SPDX-License-Identifier: Apache-2.0
// The transport below Netlink: requests, acknowledgements, dumps.
#pragma once

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include <functional>
#include <memory>
#include <string>

#include "daemon/datapath/netlink.hpp"
#include "daemon/datapath/netlink_attributes.hpp"

namespace natra::datapath {

// One request under construction. Attributes go in with the mnl_attr_put family on header().
class NetlinkRequest {
public:
    NetlinkRequest(std::uint16_t type, int flags);
    // A traffic-control request for one device.
    NetlinkRequest(std::uint16_t type, int flags, int ifindex, std::uint32_t parent, std::uint32_t handle,
                   std::uint32_t info = 0);

    nlmsghdr* header() { return header_; }
    tcmsg* tc() { return tc_; }
    void put(std::uint16_t type, std::string_view text);
    void put_u32(std::uint16_t type, std::uint32_t value) { mnl_attr_put_u32(header_, type, value); }
    void put_u64(std::uint16_t type, std::uint64_t value) { mnl_attr_put_u64(header_, type, value); }
    template <class Struct> void put_struct(std::uint16_t type, const Struct& value) {
        mnl_attr_put(header_, type, sizeof value, &value);
    }
    // Attributes put by `body` become the content of one nested attribute.
    template <class Body> void nest(std::uint16_t type, Body body) {
        nlattr* const start = mnl_attr_nest_start(header_, type);
        body();
        mnl_attr_nest_end(header_, start);
    }

private:
    alignas(nlmsghdr) char buffer_[4096] = {};
    nlmsghdr* header_;
    tcmsg* tc_ = nullptr;
};

struct Netlink::Socket {
    using Receive = std::function<void(const nlmsghdr*)>;

    ~Socket();
    // Sends and waits for the acknowledgement; `receive` gets answers that come before it.
    // what: names the object for the error, whose sys is the kernel's errno.
    Result<void> exchange(NetlinkRequest& request, const std::string& what, const Receive& receive = {});

    mnl_socket* mnl = nullptr;
    std::uint32_t sequence = 0;
};

}  // namespace natra::datapath
