// SPDX-License-Identifier: Apache-2.0
#include "tests/tools/stream.hpp"

#include <poll.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "tests/tools/udp.hpp"

namespace natra::traffic {
namespace {

using namespace std::chrono_literals;
using Code = Error::Code;

constexpr auto overtaken_time = 200ms;  // for what the stream's last packet may have overtaken

std::chrono::nanoseconds on_clock(Clock::time_point when) { return when.time_since_epoch(); }

// One flow's socket, and when it was found full.
class StreamSender {
public:
    StreamSender(UniqueFd fd, std::size_t payload) : fd_(std::move(fd)), data_(payload) {}

    // Sends that are due from now on were not held up.
    void rest() { full_since_.reset(); }

    // due: when the packet was to be sent. False at the deadline and, with `error` set, if the socket fails.
    bool send(std::uint64_t number, Clock::time_point due, Clock::time_point deadline) {
        const auto now = Clock::now();
        const auto handed = full_since_ ? std::max(due, *full_since_) : now;
        const StreamHeader header{.number = number, .sent_ns = on_clock(handed).count()};
        std::memcpy(data_.data(), &header, sizeof header);
        bool waited = false;
        while (::send(fd_.get(), data_.data(), data_.size(), waited ? 0 : MSG_DONTWAIT) < 0) {
            // Refusals of earlier packets by ICMP are no failure of this one.
            if (errno == ECONNREFUSED || errno == EINTR) continue;
            if (errno != EAGAIN) {
                error_ = fail_errno(Code::kernel, errno, "send").what;
                return false;
            }
            if (Clock::now() >= deadline) return false;
            if (!full_since_) full_since_ = now;
            waited = true;
        }
        held_ += waited ? 1 : 0;
        return true;
    }

    [[nodiscard]] std::uint64_t held() const { return held_; }
    [[nodiscard]] const std::string& error() const { return error_; }

private:
    UniqueFd fd_;
    std::vector<char> data_;
    std::optional<Clock::time_point> full_since_;
    std::uint64_t held_ = 0;
    std::string error_;
};

}  // namespace

nlohmann::json send_stream(const Address& to, const StreamPlan& plan, std::chrono::milliseconds grace) {
    UniqueFd fd(::socket(to.family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!fd || ::connect(fd.get(), to.get(), to.length) != 0)
        return {{"sent_packets", 0},
                {"held_packets", 0},
                {"send_error", fail_errno(Code::kernel, errno, "UDP socket").what}};
    const timeval patience{.tv_sec = 0, .tv_usec = 100'000};  // to notice the end
    ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    // Else the kernel may start a burst 50 us late.
    ::prctl(PR_SET_TIMERSLACK, 1);

    const auto shape = shape_of(plan, to.family());
    StreamSender sender(std::move(fd), shape.payload);
    std::uint64_t sent = 0;
    const auto start = Clock::now();
    const auto deadline = start + plan.duration + grace;
    for (; sent < shape.packets; ++sent) {
        const std::uint64_t burst = sent / shape.packets_per_burst;
        const auto due = start + std::chrono::duration_cast<Clock::duration>(static_cast<double>(burst) * shape.period);
        if (Clock::now() < due) {
            sender.rest();
            std::this_thread::sleep_until(due);
        }
        if (!sender.send(sent, due, deadline)) break;
    }
    return {{"sent_packets", sent}, {"held_packets", sender.held()}, {"send_error", sender.error()}};
}

Result<std::unique_ptr<StreamSink>> StreamSink::open(int family, const StreamPlan& plan,
                                                     std::chrono::milliseconds grace) {
    auto socket = udp_receiver(family);
    if (!socket) return socket.error();
    auto bound = local_address(socket->get());
    if (!bound) return bound.error();
    return std::unique_ptr<StreamSink>(
        new StreamSink(std::move(*socket), port_of(*bound), shape_of(plan, family).packets, plan.duration + grace));
}

StreamSink::~StreamSink() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
}

void StreamSink::start() {
    thread_ = std::thread([this] { receive(); });
}

void StreamSink::receive() {
    constexpr std::size_t batch = 64;
    std::vector<std::array<char, max_stream_payload>> space(batch);
    std::array<iovec, batch> vectors{};
    std::array<mmsghdr, batch> messages{};
    for (std::size_t i = 0; i < batch; ++i) {
        vectors[i] = {.iov_base = space[i].data(), .iov_len = space[i].size()};
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    auto end = Clock::now() + time_;
    bool ending = false;
    while (!stop_ && Clock::now() < end && !record_.complete()) {
        if (!wait_for(fd_.get(), POLLIN, std::min(end, Clock::now() + 100ms))) continue;
        const int got = ::recvmmsg(fd_.get(), messages.data(), batch, MSG_DONTWAIT, nullptr);
        const auto now = Clock::now();
        for (std::size_t i = 0; i < static_cast<std::size_t>(std::max(got, 0)); ++i) {
            StreamHeader header;
            if (messages[i].msg_len < sizeof header) continue;
            std::memcpy(&header, space[i].data(), sizeof header);
            record_.add(header.number, std::chrono::nanoseconds(header.sent_ns), on_clock(now), messages[i].msg_len);
        }
        if (record_.at_end() && !ending) {
            ending = true;
            end = std::min(end, now + overtaken_time);
        }
    }
}

nlohmann::json StreamSink::report() {
    if (thread_.joinable()) thread_.join();
    return record_.to_json();
}

}  // namespace natra::traffic
