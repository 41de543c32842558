// SPDX-License-Identifier: Apache-2.0
// One loaded copy of the BPF program with its state mapped into this process.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bpf/natra_abi.h"
#include "daemon/datapath/accuracy.hpp"
#include "daemon/util/error.hpp"
#include "daemon/util/unique_fd.hpp"

namespace natra::datapath {

// Reads are safe from any thread (the program writes the same pages); configure() and config()
// are for the one thread that owns the attachment.
class Instance {
public:
    // Loads the program (1-3 ms: the verifier) with a fresh seed, in NATRA_MODE_OFF.
    static Result<Instance> load();
    // Takes over what pin() left behind; Code::unsupported if another ABI wrote it, Code::mismatch if program and state
    // do not belong together.
    static Result<Instance> adopt(const std::string& directory, const std::string& name);

    Instance(Instance&&) noexcept = default;
    Instance& operator=(Instance&&) noexcept = default;

    // Puts a configuration in force between two packets: none sees half of it.
    void configure(const natra_config& config);
    [[nodiscard]] const natra_config& config() const;
    // Goes on where another instance of the same direction is: its counters, and the debt and credit of its
    // clocks. Before this one is attached.
    void continue_from(const Instance& predecessor);
    // Has no credit, and so many bytes wait already. After configure(), before it is attached.
    void begin_behind(std::uint64_t queued_bytes);

    // How long what was admitted takes to leave at the rate, as the total clock has it.
    [[nodiscard]] std::uint64_t queued_ns() const;
    // So many bytes wait in the qdisc: they have been charged, whatever the clock says.
    void behind_at_least(std::uint64_t queued_bytes);
    // No more than so many bytes wait in the qdisc: other charges are void. Not for EDT, whose packets leave when
    // the clock said, be they few.
    void behind_at_most(std::uint64_t queued_bytes);
    // So many bytes were charged and have gone without having been sent.
    void take_back(std::uint64_t bytes);
    // Once, before the program is attached.
    void set_subnets(const natra_subnets& subnets);
    [[nodiscard]] const natra_subnets& subnets() const;

    [[nodiscard]] natra_counters counters() const;  // sum over CPUs, since load
    [[nodiscard]] std::uint64_t heavy_table_misses() const;
    [[nodiscard]] std::uint64_t unparsed_packets() const;
    // Slots in use, in no order.
    [[nodiscard]] std::size_t heavy_flow_count() const;
    [[nodiscard]] std::vector<natra_heavy_flow> heavy_flows() const;
    // Of the classification as it is now; reads 16 KiB, some microseconds.
    [[nodiscard]] Accuracy accuracy() const;
    // To be called every two minutes at least, see idle_cells.hpp.
    void renew_idle_cells();

    [[nodiscard]] int prog_fd() const { return prog_.get(); }
    [[nodiscard]] std::uint32_t prog_id() const { return prog_id_; }

    // As <directory>/<name>_prog and <directory>/<name>_state.
    [[nodiscard]] Result<void> pin(const std::string& directory, const std::string& name) const;

private:
    struct Unmap {
        void operator()(natra_state* state) const noexcept;
    };
    Instance() = default;
    void adjust_clocks(const natra_config& before, const natra_config& after);
    Result<void> map_state();
    Result<void> read_prog_id();
    [[nodiscard]] Result<bool> uses_state() const;  // whether the program's map is the one that is mapped

    UniqueFd prog_;
    UniqueFd map_;
    std::unique_ptr<natra_state, Unmap> state_;
    std::uint32_t prog_id_ = 0;
};

// Sends libbpf's own messages to our log. Call once at start.
void redirect_libbpf_log();

}  // namespace natra::datapath
