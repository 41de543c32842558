// SPDX-License-Identifier: Apache-2.0
// The program on a real hook, for what BPF_PROG_TEST_RUN cannot make: packets
// whose headers are not in the linear part of the buffer, and packets that are
// too short for it. Both come from a packet socket on the loopback device of a
// network namespace of its own.
#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <system_error>
#include <thread>

#include "daemon/util/unique_fd.hpp"
#include "fixture.hpp"

namespace natra::test {
namespace {

using datapath::Shaper;

void must(bool ok, const char* what) {
    if (!ok) throw std::system_error(errno, std::system_category(), what);
}

void set_up(const char* device) {
    const UniqueFd control(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    must(control.get() >= 0, "socket");
    ifreq request{};
    std::strcpy(request.ifr_name, device);
    request.ifr_flags = IFF_UP;
    must(ioctl(control.get(), SIOCSIFFLAGS, &request) == 0, "device up");
}

void attach(int program_fd, unsigned ifindex, bpf_tc_attach_point point) {
    bpf_tc_hook hook{};
    hook.sz = sizeof(hook);
    hook.ifindex = static_cast<int>(ifindex);
    hook.attach_point = point;
    must(bpf_tc_hook_create(&hook) == 0, "clsact");
    bpf_tc_opts options{};
    options.sz = sizeof(options);
    options.prog_fd = program_fd;
    must(bpf_tc_attach(&hook, &options) == 0, "filter");
}

// The loopback device of the calling thread's namespace, up, with the program at its egress.
void attach_to_loopback(int program_fd) {
    set_up("lo");
    attach(program_fd, 1, BPF_TC_EGRESS);
}

// A device whose packets have no header before IP's. What is written arrives at it, what leaves it can be read.
class Tun {
public:
    Tun() : fd_(open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK)) {
        must(fd_.get() >= 0, "/dev/net/tun");
        ifreq request{};
        std::strcpy(request.ifr_name, "tun0");
        request.ifr_flags = IFF_TUN | IFF_NO_PI;
        must(ioctl(fd_.get(), TUNSETIFF, &request) == 0, "TUNSETIFF");
        set_up("tun0");
    }
    unsigned ifindex() const { return if_nametoindex("tun0"); }
    void write(const Bytes& packet) {
        must(::write(fd_.get(), packet.data(), packet.size()) == static_cast<ssize_t>(packet.size()), "write to tun");
    }
    // Of the next packet of UDP; the kernel sends some of its own.
    Bytes read_udp() {
        for (Bytes packet(2000);; packet.resize(2000)) {
            const auto length = ::read(fd_.get(), packet.data(), packet.size());
            must(length > 20, "read from tun");
            packet.resize(static_cast<std::size_t>(length));
            if (packet[0] == 0x45 && packet[9] == IPPROTO_UDP) return packet;
        }
    }

private:
    UniqueFd fd_;
};

// By a raw socket, whose packets go to the device as they are but for their identification.
void send_raw(const Bytes& packet) {
    const UniqueFd fd(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
    must(fd.get() >= 0, "raw socket");
    sockaddr_in to{};
    to.sin_family = AF_INET;
    std::memcpy(&to.sin_addr, packet.data() + 16, 4);
    must(sendto(fd.get(), packet.data(), packet.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) ==
             static_cast<ssize_t>(packet.size()),
         "sendto");
}

UniqueFd packet_socket() {
    UniqueFd fd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
    must(fd.get() >= 0, "packet socket");
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_ifindex = 1;
    must(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0, "bind");
    return fd;
}

// A ring of one frame: only the Ethernet header of what is sent from it is copied, the rest is mapped as a page.
class TransmitRing {
public:
    TransmitRing() : socket_(packet_socket()) {
        const int version = TPACKET_V2;
        must(setsockopt(socket_.get(), SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) == 0, "TPACKET_V2");
        const tpacket_req request{.tp_block_size = size, .tp_block_nr = 1, .tp_frame_size = size, .tp_frame_nr = 1};
        must(setsockopt(socket_.get(), SOL_PACKET, PACKET_TX_RING, &request, sizeof(request)) == 0, "PACKET_TX_RING");
        memory_ = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, socket_.get(), 0);
        must(memory_ != MAP_FAILED, "mmap of the ring");
    }
    ~TransmitRing() { munmap(memory_, size); }
    TransmitRing(const TransmitRing&) = delete;
    TransmitRing& operator=(const TransmitRing&) = delete;

    void send(const Bytes& packet) {
        auto* header = static_cast<tpacket2_hdr*>(memory_);
        std::memcpy(static_cast<std::uint8_t*>(memory_) + TPACKET2_HDRLEN - sizeof(sockaddr_ll), packet.data(),
                    packet.size());
        header->tp_len = static_cast<std::uint32_t>(packet.size());
        header->tp_status = TP_STATUS_SEND_REQUEST;
        must(::send(socket_.get(), nullptr, 0, 0) == static_cast<ssize_t>(packet.size()), "send from the ring");
    }

private:
    static constexpr unsigned size = 4096;
    UniqueFd socket_;
    void* memory_ = nullptr;
};

class Hook : public AllHeavyTest {
protected:
    // Runs `body` in a namespace whose loopback device has the program. Everything goes with the thread.
    void in_namespace(const std::function<void()>& body) {
        std::exception_ptr failure;
        std::thread thread([&] {
            try {
                must(unshare(CLONE_NEWNET) == 0, "unshare");
                attach_to_loopback(limiter().program_fd());
                body();
            } catch (...) {
                failure = std::current_exception();
            }
        });
        thread.join();
        if (failure) std::rethrow_exception(failure);
    }

    // The flow that sent the last packet, alone in the table.
    natra_flow_key last_key() {
        const natra_heavy_flow* flow = limiter().heavy_flow(0);
        if (flow == nullptr || limiter().heavy_flows() != 1) throw std::logic_error("not one heavy flow");
        const natra_flow_key key = flow->key;
        std::memset(state().heavy, 0, sizeof(state().heavy));
        return key;
    }
};
NATRA_BOTH_VARIANTS(Hook);

TEST_P(Hook, HeadersBeyondTheLinearPartAreRead) {
    const auto v4 = ip4("10.0.0.1", "10.0.0.2");
    const auto v6 = ip6("fd00::1", "fd00::2");
    const std::vector<Packet> packets{
        eth / v4 / tcp() / payload(1000),
        eth / v4 / udp() / payload(1000),
        eth / ip4("10.0.0.1", "10.0.0.2", {.option_words = 10}) / tcp() / payload(1000),
        eth / vlan(5, 0x88a8) / vlan(6) / v4 / sctp() / payload(10),
        eth / v6 / tcp() / payload(1000),
        eth / v6 / extension(Extension::hop_by_hop) / extension(Extension::dest_options, 20) / udp() / payload(1000),
    };
    in_namespace([&] {
        TransmitRing ring;
        for (const Packet& packet : packets) {
            ring.send(packet.bytes());
            const natra_flow_key key = last_key();
            EXPECT_EQ(ntohs(key.sport), 1000);
            EXPECT_EQ(ntohs(key.dport), 2000);
            EXPECT_EQ(key.saddr[0], key.ethertype == htons(0x0800) ? 10 : 0xfd);
        }
    });
    EXPECT_EQ(state().unparsed_packets, 0U);
    EXPECT_EQ(limiter().counters().paced_packets, packets.size());
}

TEST_P(Hook, TruncatedPacketsAreLimitedLikeOthers) {
    const Bytes v4 = (eth / ip4("10.0.0.1", "10.0.0.2") / tcp() / payload(10)).bytes();
    const Bytes v6 = (eth / ip6("fd00::1", "fd00::2") / tcp() / payload(10)).bytes();
    std::uint64_t sent = 0;
    std::uint64_t bytes = 0;
    in_namespace([&] {
        const UniqueFd socket = packet_socket();
        for (const Bytes& packet : {v4, v6}) {
            for (const std::size_t length : {15U, 20U, 33U}) {
                must(send(socket.get(), packet.data(), length, 0) == static_cast<ssize_t>(length), "send");
                ++sent;
                bytes += length;
                const natra_flow_key key = last_key();
                EXPECT_EQ(key.protocol, 0);
                EXPECT_EQ(key.saddr[5], 1) << "the MAC address";
                EXPECT_EQ(state().unparsed_packets, sent);
            }
        }
    });
    EXPECT_EQ(limiter().counters().paced_packets, sent);
    EXPECT_EQ(limiter().counters().paced_bytes, bytes);
}

TEST_P(Hook, DevicesWithoutALinkHeader) {
    constexpr unsigned ect0 = 2;
    constexpr unsigned ce = 3;
    const Packet packet = ip4("10.0.0.1", "10.0.0.2", {.ecn = ect0}) / udp() / payload(100);
    for (const auto point : {BPF_TC_EGRESS, BPF_TC_INGRESS}) {
        SCOPED_TRACE(point == BPF_TC_EGRESS ? "egress" : "ingress");
        config().flags = NATRA_F_NO_LINK_HEADER;
        config().ce_ns = ms;
        const natra_counters before = limiter().counters();
        in_namespace([&] {
            set_up("lo");
            Tun tun;
            attach(limiter().program_fd(), tun.ifindex(), point);
            std::memset(state().heavy, 0, sizeof(state().heavy));
            queue(second);
            if (point == BPF_TC_INGRESS) {
                tun.write(packet.bytes());
            } else {
                must(std::system("ip addr add 10.9.0.1/8 dev tun0") == 0, "address");
                send_raw(packet.bytes());
                EXPECT_EQ(tun.read_udp()[1] & 3U, ce) << "is marked";
            }
            bool found = false;
            for (std::size_t nth = 0; const natra_heavy_flow* flow = limiter().heavy_flow(nth); ++nth) {
                if (flow->key.protocol != IPPROTO_UDP) continue;
                found = true;
                EXPECT_EQ(ntohs(flow->key.sport), 1000);
                EXPECT_EQ(ntohs(flow->key.dport), 2000);
                EXPECT_EQ(flow->key.saddr[0], 10);
                EXPECT_EQ(flow->bytes, 128U);
                EXPECT_EQ(flow->marked_packets, 1U);
            }
            EXPECT_TRUE(found);
        });
        EXPECT_EQ(limiter().counters().marked_packets - before.marked_packets, 1U);
    }
    EXPECT_EQ(state().unparsed_packets, 0U);
}

TEST_P(Hook, OthersOnTheHookStillDecide) {
    // TC_ACT_UNSPEC: a filter behind this one sees what passed, and its verdict holds
    Limiter second_one(GetParam());
    second_one.configure({.rate_bps = 1'000'000, .shaper = Shaper::police});
    second_one.config().tau_min = second_one.config().tau_max = 0;
    second_one.state().total_clock_ns = monotonic_ns() + 100 * second;
    in_namespace([&] {
        bpf_tc_hook hook{};
        hook.sz = sizeof(hook);
        hook.ifindex = 1;
        hook.attach_point = BPF_TC_EGRESS;
        bpf_tc_opts options{};
        options.sz = sizeof(options);
        options.prog_fd = second_one.program_fd();
        options.priority = 60'000;
        must(bpf_tc_attach(&hook, &options) == 0, "second filter");
        const UniqueFd socket = packet_socket();
        const Bytes packet = udp_packet().bytes();
        (void)!send(socket.get(), packet.data(), packet.size(), 0);
    });
    EXPECT_EQ(limiter().counters().paced_packets, 1U);
    EXPECT_EQ(second_one.counters().dropped_packets, 1U);
}

TEST_P(Hook, ALostPacketIsNoErrorToItsSender) {
    limit(Shaper::police);
    make_all_heavy();
    for (const bool lose : {false, true}) {
        config().flags = lose ? NATRA_F_LOSE : 0U;
        in_namespace([&] {
            queue(100 * second);
            const UniqueFd socket = packet_socket();
            const Bytes packet = udp_packet().bytes();
            const auto sent = send(socket.get(), packet.data(), packet.size(), 0);
            const int error = errno;
            if (lose) {
                EXPECT_EQ(sent, static_cast<ssize_t>(packet.size()));
            } else {
                EXPECT_EQ(sent, -1);
                EXPECT_EQ(error, ENOBUFS);
            }
        });
    }
    EXPECT_EQ(limiter().counters().dropped_packets, 2U);
}

}  // namespace
}  // namespace natra::test
