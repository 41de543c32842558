// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/features.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sched.h>
#include <sys/utsname.h>

#include <cerrno>
#include <thread>

#include "bpf/natra_abi.h"
#include "daemon/datapath/class_filter.hpp"
#include "daemon/util/log.hpp"
#include "daemon/util/may_pass.hpp"

namespace natra::datapath {
namespace {

constexpr int loopback = 1;  // in every fresh namespace

bool has_tcx() {
    struct bpf_prog_query_opts query {};
    query.sz = sizeof query;
    constexpr auto tcx_egress = static_cast<bpf_attach_type>(47);
    return bpf_prog_query_opts(loopback, tcx_egress, &query) == 0 || may_pass(errno);
}

// What could not be found out is tried for each attachment.
bool is_absent(const Result<void>& result) { return !result && !may_pass(result.error()); }

void probe_here(Features& out) {
    out.fq = true;
    out.htb = true;
    if (::unshare(CLONE_NEWNET) < 0) {
        log::error(fail_errno(Error::Code::kernel, errno, "probe: new network namespace").what);
        return;
    }
    auto netlink = Netlink::open();
    if (!netlink) {
        log::error(concat("probe: ", netlink.error().what));
        return;
    }
    out.tcx = has_tcx();
    const auto fq = netlink->add_fq(loopback, {});
    out.fq = !is_absent(fq);
    if (fq) (void)netlink->delete_root(loopback, fq_handle);
    const auto htb = netlink->add_htb(
        loopback,
        {.rate_bps = 1'000'000, .burst_ns = 1'000'000, .small_burst_ns = 1'000'000, .leaf_limit_bytes = 1 << 20});
    out.htb = !is_absent(htb);
    if (!htb) return;
    const auto filtered = add_class_filter(*netlink, loopback);
    out.htb = !is_absent(filtered);
    if (!filtered) log::warning(concat("probe: HTB takes no filter: ", filtered.error().what));
}

}  // namespace

std::vector<std::string> Features::names() const {
    std::vector<std::string> out;
    if (tcx) out.emplace_back("tcx");
    out.emplace_back("clsact");
    if (fq) out.emplace_back("edt");
    if (htb) out.emplace_back("htb");
    out.emplace_back("police");
    return out;
}

Features probe_features() {
    Features out;
    utsname name{};
    if (::uname(&name) == 0) out.kernel = name.release;
    out.shared_counters = libbpf_num_possible_cpus() > NATRA_COUNTER_SLOTS;
    // The thread's namespace dies with it.
    std::thread([&out] { probe_here(out); }).join();
    return out;
}

}  // namespace natra::datapath
