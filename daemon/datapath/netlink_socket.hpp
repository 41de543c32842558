// SPDX-License-Identifier: Apache-2.0
// The transport below Netlink: requests, acknowledgements, dumps.
#pragma once

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/datapath/netlink.hpp"
#include "daemon/datapath/rtnl_parse.hpp"

namespace natra::datapath {

// Of a request for a root qdisc. A new handle and NLM_F_REPLACE: the kernel makes the new one, then swaps.
constexpr int root_flags(std::uint32_t replaces) { return NLM_F_CREATE | (replaces == 0 ? NLM_F_EXCL : NLM_F_REPLACE); }

// One request under construction. What does not fit makes it unfit to be sent.
class NetlinkRequest {
public:
    NetlinkRequest(std::uint16_t type, int flags);
    // A traffic-control request for one device.
    NetlinkRequest(std::uint16_t type, int flags, int ifindex, std::uint32_t parent, std::uint32_t handle,
                   std::uint32_t info = 0);
    // header() points into the object.
    NetlinkRequest(const NetlinkRequest&) = delete;
    NetlinkRequest& operator=(const NetlinkRequest&) = delete;

    // The zeroed fixed part behind the header; before any attribute.
    template <class Struct> Struct& put_fixed_part() {
        return *static_cast<Struct*>(mnl_nlmsg_put_extra_header(header_, sizeof(Struct)));
    }
    void put(std::uint16_t type, std::string_view text);  // with its NUL
    void put_u32(std::uint16_t type, std::uint32_t value) { put_struct(type, value); }
    void put_u64(std::uint16_t type, std::uint64_t value) { put_struct(type, value); }
    template <class Struct> void put_struct(std::uint16_t type, const Struct& value) {
        if (!mnl_attr_put_check(header_, sizeof buffer_, type, sizeof value, &value)) overflow_ = true;
    }
    // Attributes put by `body` become the content of one nested attribute.
    template <class Body> void nest(std::uint16_t type, Body body) {
        nlattr* const start = mnl_attr_nest_start_check(header_, sizeof buffer_, type);
        if (start == nullptr) {
            overflow_ = true;
            return;
        }
        body();
        mnl_attr_nest_end(header_, start);
    }

    [[nodiscard]] nlmsghdr* header() { return header_; }
    [[nodiscard]] bool overflow() const { return overflow_; }

private:
    alignas(nlmsghdr) char buffer_[2048] = {};
    nlmsghdr* header_;
    bool overflow_ = false;
};

struct Netlink::Socket {
    using Receive = std::function<void(const NetlinkMessage&)>;

    Socket() = default;
    ~Socket();
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;

    // Sends and waits for the acknowledgement. `receive` gets the answers, and only those of a request that
    // succeeded: a dump that the kernel's tables changed under is asked for again.
    // what: names action and object for the error. Its sys is the kernel's errno; ENODEV is Code::no_device.
    Result<void> exchange(NetlinkRequest& request, const std::string& what, const Receive& receive = {});

    mnl_socket* mnl = nullptr;
    std::uint32_t sequence = 0;

private:
    struct Answers;
    Result<void> collect(Answers& answers, const std::string& what);
    std::vector<std::byte> buffer_ = std::vector<std::byte>(32768);  // the most the kernel puts into a datagram
};

}  // namespace natra::datapath
