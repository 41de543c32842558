// SPDX-License-Identifier: Apache-2.0
#include "limiter.hpp"

#include <bpf/bpf.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <stdexcept>
#include <string>
#include <system_error>

#include "daemon/datapath/counters.hpp"
#include "daemon/util/unique_fd.hpp"
#include "natra.skel.h"
#include "natra_legacy.skel.h"

namespace natra::test {

struct Limiter::Skeleton {
    natra_bpf* current = nullptr;
    natra_legacy_bpf* legacy = nullptr;

    ~Skeleton() {
        natra_bpf::destroy(current);
        natra_legacy_bpf::destroy(legacy);
    }
};

bool may_load_bpf() {
    bpf_prog_load_opts options{};
    options.sz = sizeof(options);
    // r0 = 0; exit
    const bpf_insn insns[] = {{.code = 0xb7}, {.code = 0x95}};
    const UniqueFd fd(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "probe", "GPL", insns, std::size(insns), &options));
    return fd.get() >= 0 || errno != EPERM;
}

bool has_fetching_atomics() {
    bpf_prog_load_opts options{};
    options.sz = sizeof(options);
    // r0 = 0; *(r10 - 8) = r0; r0 = fetch_add(r10 - 8, r0); r0 = 0; exit
    const bpf_insn insns[] = {{.code = 0xb7},
                              {.code = 0x7b, .dst_reg = 10, .src_reg = 0, .off = -8},
                              {.code = 0xdb, .dst_reg = 10, .src_reg = 0, .off = -8, .imm = 1},
                              {.code = 0xb7},
                              {.code = 0x95}};
    const UniqueFd fd(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "probe", "GPL", insns, std::size(insns), &options));
    return fd.get() >= 0;
}

std::uint64_t monotonic_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(now.tv_nsec);
}

Limiter::Limiter(Variant variant) : skeleton_(std::make_unique<Skeleton>()) {
    int bss_fd = -1;
    if (variant == Variant::current) {
        skeleton_->current = natra_bpf::open_and_load();
        if (skeleton_->current == nullptr) {
            throw std::runtime_error("load natra: " + std::system_category().message(errno));
        }
        program_fd_ = bpf_program__fd(skeleton_->current->progs.natra);
        bss_fd = bpf_map__fd(skeleton_->current->maps.bss);
    } else {
        skeleton_->legacy = natra_legacy_bpf::open_and_load();
        if (skeleton_->legacy == nullptr) {
            throw std::runtime_error("load natra_legacy: " + std::system_category().message(errno));
        }
        program_fd_ = bpf_program__fd(skeleton_->legacy->progs.natra);
        bss_fd = bpf_map__fd(skeleton_->legacy->maps.bss);
    }
    void* memory = mmap(nullptr, sizeof(natra_state), PROT_READ | PROT_WRITE, MAP_SHARED, bss_fd, 0);
    if (memory == MAP_FAILED) {
        throw std::system_error(errno, std::system_category(), "mmap of .bss");
    }
    state_ = static_cast<natra_state*>(memory);
    reset();
}

void Limiter::reset() {
    *state_ = {};
    unused_cell_ = 0;
    forget_flows();
    state_->abi = NATRA_ABI;
    state_->size = sizeof(natra_state);
    state_->seed[0] = 0x0123456789abcdefU;
    state_->seed[1] = 0xfedcba9876543210U;
}

// Zero is a time as well: every 2^32 units cells of that value would seem to be ahead of now.
void Limiter::configure(const datapath::ShapeRequest& request) {
    config() = datapath::make_config(request);
    const auto past = static_cast<std::uint32_t>(monotonic_ns() >> config().unit_shift) - (1U << 31);
    const auto set = [&](auto& rows) {
        for (auto& row : rows) std::replace(std::begin(row), std::end(row), unused_cell_, past);
    };
    set(state_->cell);
    set(state_->fair);
    unused_cell_ = past;
}

Limiter::~Limiter() { munmap(state_, sizeof(natra_state)); }

Outcome Limiter::run(const Bytes& packet, const Meta& meta) {
    __sk_buff in{};
    in.wire_len = meta.wire_len != 0 ? meta.wire_len : static_cast<std::uint32_t>(packet.size());
    in.gso_segs = meta.gso_segs;
    in.gso_size = meta.gso_size;
    in.priority = meta.priority;
    in.tstamp = meta.tstamp;
    __sk_buff out{};
    Bytes data(packet.size() + 256);

    bpf_test_run_opts options{};
    options.sz = sizeof(options);
    options.data_in = packet.data();
    options.data_size_in = static_cast<std::uint32_t>(packet.size());
    options.data_out = data.data();
    options.data_size_out = static_cast<std::uint32_t>(data.size());
    options.ctx_in = &in;
    options.ctx_size_in = sizeof(in);
    options.ctx_out = &out;
    options.ctx_size_out = sizeof(out);
    options.repeat = 1;
    if (bpf_prog_test_run_opts(program_fd_, &options) != 0) {
        throw std::system_error(errno, std::system_category(),
                                "test run of " + std::to_string(packet.size()) + " bytes");
    }
    data.resize(options.data_size_out);
    return {.verdict = static_cast<int>(options.retval),
            .priority = out.priority,
            .tstamp = out.tstamp,
            .data = std::move(data)};
}

__sk_buff Limiter::leave(const Packet& packet, std::uint32_t priority) {
    const Bytes bytes = packet.bytes();
    __sk_buff in{};
    in.wire_len = static_cast<std::uint32_t>(bytes.size());
    in.priority = priority;
    __sk_buff out{};
    bpf_test_run_opts options{};
    options.sz = sizeof(options);
    options.data_in = bytes.data();
    options.data_size_in = static_cast<std::uint32_t>(bytes.size());
    options.ctx_in = &in;
    options.ctx_size_in = sizeof(in);
    options.ctx_out = &out;
    options.ctx_size_out = sizeof(out);
    options.repeat = 1;
    if (bpf_prog_test_run_opts(program_fd_, &options) != 0) {
        throw std::system_error(errno, std::system_category(), "test run");
    }
    __sk_buff left{};
    left.priority = out.priority;
    std::copy(std::begin(out.cb), std::end(out.cb), std::begin(left.cb));
    return left;
}

void Limiter::repeat(const Bytes& bytes, int times) {
    __sk_buff in{};
    in.wire_len = static_cast<std::uint32_t>(bytes.size());
    bpf_test_run_opts options{};
    options.sz = sizeof(options);
    options.data_in = bytes.data();
    options.data_size_in = static_cast<std::uint32_t>(bytes.size());
    options.ctx_in = &in;
    options.ctx_size_in = sizeof(in);
    options.repeat = times;
    if (bpf_prog_test_run_opts(program_fd_, &options) != 0) {
        throw std::system_error(errno, std::system_category(), "repeated test run");
    }
}

natra_counters Limiter::counters() const {
    natra_counters sum{};
    for (const natra_counters& slot : state_->counters) datapath::add(sum, slot);
    return sum;
}

const natra_heavy_flow* Limiter::heavy_flow(std::size_t nth) const {
    for (const natra_heavy_flow& slot : state_->heavy) {
        if (slot.hash != 0 && nth-- == 0) {
            return &slot;
        }
    }
    return nullptr;
}

std::size_t Limiter::heavy_flows() const {
    return static_cast<std::size_t>(std::count_if(std::begin(state_->heavy), std::end(state_->heavy),
                                                  [](const natra_heavy_flow& slot) { return slot.hash != 0; }));
}

std::uint32_t Limiter::highest_cell() const {
    const natra_config& config = state_->config[state_->active_config & 1U];
    const auto now = static_cast<std::uint32_t>(monotonic_ns() >> config.unit_shift);
    std::uint32_t highest = 0;
    for (const auto& row : state_->cell) {
        for (const std::uint32_t cell : row) {
            const std::uint32_t ahead = cell - now;
            if (ahead <= config.guard) {
                highest = std::max(highest, ahead);
            }
        }
    }
    return highest;
}

void Limiter::age_cells(std::uint64_t ns) {
    const auto units = static_cast<std::uint32_t>(ns >> config().unit_shift);
    for (auto& row : state_->cell) {
        for (std::uint32_t& cell : row) {
            if (cell != unused_cell_) cell -= units;
        }
    }
}

namespace {

// An idle clock stays what it is; so does one that nobody has used.
void set_back(__u64& clock, std::uint64_t ns) {
    if (clock != 0) clock = clock > ns ? clock - ns : 1;
}

// As met.h has them.
constexpr unsigned met_tick_shift = 26;
constexpr unsigned until_shift = 10;
constexpr std::uint32_t half_the_ticks = 0x4000;
constexpr std::uint32_t long_past = 1U << 23;  // units of natra_met.until

}  // namespace

void Limiter::age(std::uint64_t ns) {
    const auto in_steps = [&](unsigned shift) {
        return static_cast<std::uint32_t>(((aged_ns_ + ns) >> shift) - (aged_ns_ >> shift));
    };
    const std::uint32_t units = in_steps(config().unit_shift);
    const auto cells = [&](auto& rows) {
        for (auto& row : rows) {
            for (std::uint32_t& cell : row) {
                if (cell != unused_cell_) cell -= units;
            }
        }
    };
    cells(state_->cell);
    cells(state_->fair);
    for (__u64& clock : state_->stranger_clock) set_back(clock, units);
    for (natra_met& entry : state_->met) {
        entry.tag = (entry.tag & 0xffff0001U) | ((entry.tag - (in_steps(met_tick_shift) << 1)) & 0xfffeU);
        entry.until -= in_steps(until_shift);
    }
    set_back(state_->total_clock_ns, ns);
    set_back(state_->small_clock_ns, ns);
    set_back(state_->aqm.above_ns, ns);
    set_back(state_->aqm.next_ns, ns);
    set_back(state_->activity.start_ns, ns);
    set_back(state_->activity.until_ns, ns);
    for (natra_heavy_flow& slot : state_->heavy) {
        for (__u64* time : {&slot.first_ns, &slot.last_ns, &slot.window_start_ns}) set_back(*time, ns);
    }
    aged_ns_ += ns;
}

void Limiter::forget_waits() {
    const auto until = static_cast<std::uint32_t>((monotonic_ns() - state_->overtaken_ns) >> until_shift) - long_past;
    for (natra_met& entry : state_->met) entry.until = until;
}

void Limiter::forget_flows() {
    const auto tick = static_cast<std::uint32_t>(monotonic_ns() >> met_tick_shift) - half_the_ticks;
    for (natra_met& entry : state_->met) entry.tag = (tick & 0x7fff) << 1;
    forget_waits();
}

void Limiter::introduce(const Packet& packet) {
    const auto before = std::make_unique<natra_state>(*state_);
    // policed packets do not wait, and what is on its way to a full bucket passes
    config().mode = NATRA_MODE_POLICE;
    for (int i = 0; i < 2; ++i) {
        state_->total_clock_ns = 0;
        run(packet);
    }
    std::memcpy(before->met, state_->met, sizeof(before->met));
    *state_ = *before;
}

}  // namespace natra::test
