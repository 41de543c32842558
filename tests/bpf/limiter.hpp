// SPDX-License-Identifier: Apache-2.0
// One loaded instance of the BPF program, run on packets by BPF_PROG_TEST_RUN.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <memory>

#include "bpf/natra_abi.h"
#include "daemon/datapath/parameters.hpp"
#include "packet.hpp"

namespace natra::test {

enum class Variant { current, legacy };  // natra, natra_legacy

constexpr int verdict_pass = -1;  // TC_ACT_UNSPEC, TCX_NEXT
constexpr int verdict_drop = 2;   // TC_ACT_SHOT, TCX_DROP
constexpr int verdict_lose = 7;   // TC_ACT_REDIRECT: to no device

// The fields of the packet's metadata that the program reads.
struct Meta {
    std::uint32_t wire_len = 0;  // 0: as long as the packet
    std::uint32_t gso_segs = 0;
    std::uint32_t gso_size = 0;
    std::uint32_t priority = 0;
    std::uint64_t tstamp = 0;
};

struct Outcome {
    int verdict;
    std::uint32_t priority;
    std::uint64_t tstamp;
    Bytes data;
};

// True if this process may load BPF programs.
bool may_load_bpf();

// True if the kernel can run Variant::current: Linux 5.12 and later.
bool has_fetching_atomics();

std::uint64_t monotonic_ns();

class Limiter {
public:
    // Throws std::runtime_error with the verifier's or libbpf's words.
    explicit Limiter(Variant variant = Variant::current);
    ~Limiter();
    Limiter(const Limiter&) = delete;
    Limiter& operator=(const Limiter&) = delete;

    // As it was loaded: the program keeps nothing outside its state.
    void reset();

    natra_state& state() { return *state_; }
    natra_config& config() { return state_->config[state_->active_config & 1U]; }
    void configure(const datapath::ShapeRequest& request);
    // The value of cells that nobody has written since the last configuration: long past, whatever the time is.
    std::uint32_t unused_cell() const { return unused_cell_; }

    // Throws std::system_error if the kernel refuses to run the packet.
    Outcome run(const Bytes& packet, const Meta& meta = {});
    Outcome run(const Packet& packet, const Meta& meta = {}) { return run(packet.bytes(), meta); }
    // The same packet so many times, without a pause.
    void repeat(const Bytes& packet, int times);

    // The metadata with which a packet of that priority leaves the program.
    __sk_buff leave(const Packet& packet, std::uint32_t priority);

    natra_counters counters() const;                            // sums
    const natra_heavy_flow* heavy_flow(std::size_t nth) const;  // nth used slot, nullptr if there are fewer
    std::size_t heavy_flows() const;
    // The highest of all cells ahead of now, in cell units: a lone flow's estimate.
    std::uint32_t highest_cell() const;
    // As if so much time had passed for the sketch alone.
    void age_cells(std::uint64_t ns);
    // As if so much time had passed.
    void age(std::uint64_t ns);
    // Nobody was met before, and nobody's packets wait.
    void forget_flows();
    // Nobody's packets wait.
    void forget_waits();
    // The packet's flow has been met twice, and nothing else has happened. Its packets do not wait.
    void introduce(const Packet& packet);
    int program_fd() const { return program_fd_; }

private:
    struct Skeleton;
    std::unique_ptr<Skeleton> skeleton_;
    natra_state* state_ = nullptr;
    int program_fd_ = -1;
    std::uint64_t aged_ns_ = 0;
    std::uint32_t unused_cell_ = 0;
};

}  // namespace natra::test
