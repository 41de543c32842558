// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/dns_responder.hpp"

#include <poll.h>

#include <array>

#include "tests/tools/udp.hpp"

namespace natra::traffic {

Result<std::unique_ptr<DnsResponder>> DnsResponder::open(int family, std::size_t size) {
    if (size < 1 || size > max_dns_size)
        return fail(Error::Code::invalid_argument, "answer: ", size, " bytes are not 1 to ", max_dns_size);
    auto socket = udp_receiver(family);
    if (!socket) return socket.error();
    auto bound = local_address(socket->get());
    if (!bound) return bound.error();
    return std::unique_ptr<DnsResponder>(new DnsResponder(std::move(*socket), port_of(*bound), size));
}

void DnsResponder::start() {
    thread_ = std::thread([this] { respond(); });
}

void DnsResponder::respond() {
    std::array<char, max_dns_size> query{};
    while (!stop_) {
        if (!wait_for(fd_.get(), POLLIN, Clock::now() + std::chrono::milliseconds(100))) continue;
        Address from;
        from.length = sizeof from.storage;
        auto* name = reinterpret_cast<sockaddr*>(&from.storage);
        if (::recvfrom(fd_.get(), query.data(), query.size(), MSG_DONTWAIT, name, &from.length) < 0) continue;
        ++arrived_;
        // One answer's wait for room must not keep the others: a name server's socket does not wait either.
        if (::sendto(fd_.get(), answer_.data(), answer_.size(), MSG_DONTWAIT, from.get(), from.length) < 0) ++refused_;
    }
}

void DnsResponder::stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
}

nlohmann::json DnsResponder::report() {
    stop();
    return {{"arrived_queries", arrived_}, {"refused_answers", refused_}};
}

}  // namespace natra::traffic
