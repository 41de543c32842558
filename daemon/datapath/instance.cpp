// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/instance.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "daemon/datapath/counters.hpp"
#include "daemon/datapath/idle_cells.hpp"
#include "daemon/datapath/live_config.hpp"
#include "daemon/util/clock.hpp"
#include "daemon/util/log.hpp"
#include "daemon/util/may_pass.hpp"
#include "natra.skel.h"
#include "natra_legacy.skel.h"

namespace natra::datapath {
namespace {

using Code = Error::Code;

struct Loaded {
    UniqueFd prog;
    UniqueFd map;
};

template <auto Destroy> struct Deleter {
    template <class T> void operator()(T* p) const noexcept { Destroy(p); }
};

// The descriptors outlive the skeleton, whose parsed ELF would cost memory for each instance.
template <class Skeleton, auto Destroy> Result<Loaded> load_variant() {
    const std::unique_ptr<Skeleton, Deleter<Destroy>> skeleton(Skeleton::open_and_load());
    if (!skeleton) return fail_errno(Code::kernel, errno, "load BPF program");
    Loaded out{UniqueFd(::fcntl(bpf_program__fd(skeleton->progs.natra), F_DUPFD_CLOEXEC, 3)),
               UniqueFd(::fcntl(bpf_map__fd(skeleton->maps.bss), F_DUPFD_CLOEXEC, 3))};
    if (!out.prog || !out.map) return fail_errno(Code::internal, errno, "duplicate BPF descriptors");
    return out;
}

Result<Loaded> load_program() {
    // Kernels before 5.12 refuse fetching atomics; what a kernel takes does not change while it runs.
    static std::atomic<bool> use_legacy{false};
    if (!use_legacy) {
        auto loaded = load_variant<natra_bpf, natra_bpf::destroy>();
        if (loaded || may_pass(loaded.error())) return loaded;
        auto legacy = load_variant<natra_legacy_bpf, natra_legacy_bpf::destroy>();
        if (!legacy) return loaded.error();
        log::info(concat("BPF: this kernel takes the build without fetching atomics (", loaded.error().what, ")"));
        use_legacy = true;
        return legacy;
    }
    return load_variant<natra_legacy_bpf, natra_legacy_bpf::destroy>();
}

double ns_per_byte(const natra_config& config) {
    return std::ldexp(static_cast<double>(config.total_mult), -static_cast<int>(config.total_shift));
}

double horizon_ns(const natra_config& config) { return static_cast<double>(config.horizon_ns); }

// As much as any queue of HTB's takes at any rate: 1 GiB at 1 byte/s. A clock that is further ahead would overflow.
constexpr double furthest_ns = 1.1e18;

// How long so many bytes in the shaper's qdisc take to leave. With EDT each has its time, which is within the horizon.
double time_for(const natra_config& config, std::uint64_t queued_bytes) {
    const double most_ns = config.mode == NATRA_MODE_HTB ? furthest_ns : horizon_ns(config);
    return std::min(static_cast<double>(queued_bytes) * ns_per_byte(config), most_ns);
}

// How far a total clock is ahead under another configuration that is ahead by ahead_ns under this one. scale: how much
// longer a byte takes there.
double debt_under(const natra_config& config, double ahead_ns, double scale) {
    switch (config.mode) {
    // The qdisc sends what waits at the new rate.
    case NATRA_MODE_HTB: return std::min(ahead_ns * scale, furthest_ns);
    // It leaves at the times that it was given, and what comes behind it has to wait for that; but not longer than
    // it would wait in any queue of the new rate.
    case NATRA_MODE_EDT: return std::min(ahead_ns, std::max(ahead_ns * scale, horizon_ns(config)));
    // It has left, and was paid for at the old rate.
    default: return ahead_ns * std::min(scale, 1.0);
    }
}

// Moves a clock that is ahead of now, without losing what the program charges meanwhile. to: double(double), from how
// far it is ahead to how far it shall be, ns.
template <class To> void move_ahead(__u64& clock, std::uint64_t now_ns, To to) {
    const std::atomic_ref live(clock);
    auto seen = live.load(std::memory_order_relaxed);
    while (seen > now_ns) {
        const auto moved = now_ns + static_cast<std::uint64_t>(to(static_cast<double>(seen - now_ns)));
        if (live.compare_exchange_weak(seen, moved, std::memory_order_relaxed)) return;
    }
}

std::string pin_path(const std::string& directory, const std::string& name, const char* what) {
    return concat(directory, "/", name, "_", what);
}

int print_libbpf(libbpf_print_level level, const char* format, va_list args) {
    if (level == LIBBPF_DEBUG) return 0;
    char text[512];
    const int n = std::vsnprintf(text, sizeof text, format, args);
    if (n <= 0) return n;
    std::string_view line(text);
    while (line.ends_with('\n')) line.remove_suffix(1);
    // Its warnings repeat what the returned error says; the verifier's log is for debugging.
    log::debug(line);
    return n;
}

}  // namespace

void redirect_libbpf_log() { libbpf_set_print(print_libbpf); }

void Instance::Unmap::operator()(natra_state* state) const noexcept { ::munmap(state, sizeof *state); }

Result<Instance> Instance::load() {
    auto loaded = load_program();
    if (!loaded) return loaded.error();
    Instance instance;
    instance.prog_ = std::move(loaded->prog);
    instance.map_ = std::move(loaded->map);
    if (auto r = instance.map_state(); !r) return r.error();
    if (auto r = instance.read_prog_id(); !r) return r.error();
    auto& state = *instance.state_;
    if (::getrandom(state.seed, sizeof state.seed, 0) != sizeof state.seed)
        return fail_errno(Code::internal, errno, "getrandom");
    state.size = sizeof(natra_state);
    state.abi = NATRA_ABI;
    return instance;
}

Result<Instance> Instance::adopt(const std::string& directory, const std::string& name) {
    Instance instance;
    const auto open = [&](const char* what, UniqueFd& fd) -> Result<void> {
        const auto path = pin_path(directory, name, what);
        fd.reset(bpf_obj_get(path.c_str()));
        if (!fd) return fail_errno(errno == ENOENT ? Code::not_found : Code::kernel, errno, "open ", path);
        return {};
    };
    if (auto r = open("prog", instance.prog_); !r) return r.error();
    if (auto r = open("state", instance.map_); !r) return r.error();
    if (auto r = instance.map_state(); !r) return r.error();
    if (auto r = instance.read_prog_id(); !r) return r.error();
    if (const auto own = instance.uses_state(); !own || !*own)
        return own ? fail(Code::mismatch, directory, ": the state of ", name, " is another program's") : own.error();
    const auto& state = *instance.state_;
    if (state.abi != NATRA_ABI || state.size != sizeof(natra_state))
        return fail(Code::unsupported, directory, ": state has ABI ", state.abi, " and size ", state.size,
                    ", this natrad wants ", NATRA_ABI, " and ", sizeof(natra_state));
    return instance;
}

Result<void> Instance::map_state() {
    bpf_map_info info{};
    __u32 length = sizeof info;
    if (bpf_map_get_info_by_fd(map_.get(), &info, &length) < 0)
        return fail_errno(Code::kernel, errno, "read BPF map info");
    if (info.value_size < sizeof(natra_state))
        return fail(Code::unsupported, "BPF state of ", info.value_size, " bytes, this natrad wants ",
                    sizeof(natra_state));
    void* const pages = ::mmap(nullptr, sizeof(natra_state), PROT_READ | PROT_WRITE, MAP_SHARED, map_.get(), 0);
    if (pages == MAP_FAILED) return fail_errno(Code::kernel, errno, "map BPF state");
    state_.reset(static_cast<natra_state*>(pages));
    return {};
}

Result<void> Instance::read_prog_id() {
    bpf_prog_info info{};
    __u32 length = sizeof info;
    if (bpf_prog_get_info_by_fd(prog_.get(), &info, &length) < 0)
        return fail_errno(Code::kernel, errno, "read BPF program info");
    prog_id_ = info.id;
    return {};
}

Result<bool> Instance::uses_state() const {
    bpf_map_info map{};
    __u32 length = sizeof map;
    if (bpf_map_get_info_by_fd(map_.get(), &map, &length) < 0)
        return fail_errno(Code::kernel, errno, "read BPF map info");
    std::array<__u32, 8> ids{};
    bpf_prog_info info{};
    info.nr_map_ids = ids.size();
    info.map_ids = reinterpret_cast<std::uintptr_t>(ids.data());
    length = sizeof info;
    if (bpf_prog_get_info_by_fd(prog_.get(), &info, &length) < 0)
        return fail_errno(Code::kernel, errno, "read BPF program info");
    const auto* const end = ids.data() + std::min<std::size_t>(info.nr_map_ids, ids.size());
    return std::find(std::as_const(ids).data(), end, map.id) != end;
}

void Instance::configure(const natra_config& config) {
    // What was charged stays charged: clocks are only adjusted to what is new.
    if (std::memcmp(&this->config(), &config, sizeof config) == 0) return;
    adjust_clocks(this->config(), config);
    // A cell is a time in units that belong to a configuration: in other units it would mean another time.
    if (state_->config[state_->active_config & 1].unit_shift != config.unit_shift) {
        empty_cells(*state_, config.unit_shift, monotonic_ns());
        for (auto& clock : state_->stranger_clock) std::atomic_ref(clock).store(0, std::memory_order_relaxed);
    }
    put_in_force(*state_, config);
}

// A lowered limit leaves the total clock further ahead than the new horizon may be: until what waits has left, no
// heavy packet is admitted. A raised one brings it nearer, or it would drop everything until the old debt is over.
void Instance::adjust_clocks(const natra_config& before, const natra_config& after) {
    if (before.total_mult == 0) return;
    const auto now_ns = monotonic_ns();
    const double scale = ns_per_byte(after) / ns_per_byte(before);
    // A flow's packets wait until the queue has come so far: HTB's comes as much later as it now takes longer.
    double longer_ns = 0;
    move_ahead(state_->total_clock_ns, now_ns, [&](double ahead_ns) {
        const double debt_ns = debt_under(after, ahead_ns, scale);
        longer_ns = std::max(debt_ns - ahead_ns, 0.0);
        return debt_ns;
    });
    const std::atomic_ref overtaken(state_->overtaken_ns);
    if (before.mode != after.mode)
        overtaken.store(0, std::memory_order_relaxed);
    else if (after.mode == NATRA_MODE_HTB)
        overtaken.fetch_add(static_cast<std::uint64_t>(longer_ns), std::memory_order_relaxed);
    const double least_scale = after.mode == NATRA_MODE_EDT ? 1 : scale;
    const auto cut_to = [&](std::uint64_t most_ns) {
        return [=](double ahead_ns) { return std::min(ahead_ns * least_scale, static_cast<double>(most_ns)); };
    };
    move_ahead(state_->small_clock_ns, now_ns,
               cut_to(std::max(after.small_allowance_ns, after.small_allowance_min_ns)));
}

std::uint64_t Instance::queued_ns() const {
    const auto seen = std::atomic_ref(state_->total_clock_ns).load(std::memory_order_relaxed);
    const auto now_ns = monotonic_ns();
    return seen > now_ns ? seen - now_ns : 0;
}

void Instance::behind_at_least(std::uint64_t queued_bytes) {
    if (queued_bytes == 0) return;
    const auto least_ns = monotonic_ns() + static_cast<std::uint64_t>(time_for(config(), queued_bytes));
    const std::atomic_ref live(state_->total_clock_ns);
    auto seen = live.load(std::memory_order_relaxed);
    while (seen < least_ns && !live.compare_exchange_weak(seen, least_ns, std::memory_order_relaxed)) {
    }
}

void Instance::behind_at_most(std::uint64_t queued_bytes) {
    const double most_ns = time_for(config(), queued_bytes);
    move_ahead(state_->total_clock_ns, monotonic_ns(), [=](double ahead_ns) { return std::min(ahead_ns, most_ns); });
}

void Instance::take_back(std::uint64_t bytes) {
    const double gone_ns = static_cast<double>(bytes) * ns_per_byte(config());
    move_ahead(state_->total_clock_ns, monotonic_ns(),
               [=](double ahead_ns) { return std::max(ahead_ns - gone_ns, 0.0); });
}

void Instance::continue_from(const Instance& predecessor) {
    state_->counters[0] = predecessor.counters();
    state_->heavy_table_misses = predecessor.heavy_table_misses();
    state_->unparsed_packets = predecessor.unparsed_packets();
    state_->total_clock_ns = std::atomic_ref(predecessor.state_->total_clock_ns).load(std::memory_order_relaxed);
    state_->small_clock_ns = std::atomic_ref(predecessor.state_->small_clock_ns).load(std::memory_order_relaxed);
}

void Instance::begin_behind(std::uint64_t queued_bytes) {
    state_->total_clock_ns = monotonic_ns() + static_cast<std::uint64_t>(time_for(config(), queued_bytes));
}

const natra_config& Instance::config() const { return state_->config[state_->active_config & 1]; }

void Instance::set_subnets(const natra_subnets& subnets) { state_->subnets = subnets; }

const natra_subnets& Instance::subnets() const { return state_->subnets; }

natra_counters Instance::counters() const {
    natra_counters sum{};
    for (const auto& slot : state_->counters) add(sum, slot);
    return sum;
}

std::uint64_t Instance::heavy_table_misses() const {
    return std::atomic_ref(state_->heavy_table_misses).load(std::memory_order_relaxed);
}

std::uint64_t Instance::unparsed_packets() const {
    return std::atomic_ref(state_->unparsed_packets).load(std::memory_order_relaxed);
}

std::size_t Instance::heavy_flow_count() const {
    return static_cast<std::size_t>(std::count_if(std::begin(state_->heavy), std::end(state_->heavy),
                                                  [](const natra_heavy_flow& slot) { return slot.hash != 0; }));
}

std::vector<natra_heavy_flow> Instance::heavy_flows() const {
    std::vector<natra_heavy_flow> flows;
    for (const auto& slot : state_->heavy)
        if (slot.hash != 0) flows.push_back(slot);
    return flows;
}

void Instance::renew_idle_cells() { datapath::renew_idle_cells(*state_, monotonic_ns()); }

Accuracy Instance::accuracy() const { return accuracy_of(*state_, monotonic_ns()); }

Result<void> Instance::pin(const std::string& directory, const std::string& name) const {
    const auto pin_one = [&](int fd, const char* what) -> Result<void> {
        const auto path = pin_path(directory, name, what);
        if (bpf_obj_pin(fd, path.c_str()) < 0) return fail_errno(Code::kernel, errno, "pin ", path);
        return {};
    };
    if (auto r = pin_one(prog_.get(), "prog"); !r) return r;
    return pin_one(map_.get(), "state");
}

}  // namespace natra::datapath
