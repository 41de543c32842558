// SPDX-License-Identifier: Apache-2.0
#include "daemon/datapath/class_filter.hpp"

#include <bpf/libbpf.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <mutex>

#include "daemon/util/unique_fd.hpp"
#include "natra_class.skel.h"

namespace natra::datapath {
namespace {

constexpr std::string_view class_filter_name = "natra-class";
// natra's own program may be a filter of this qdisc as well, and chooses the class.
constexpr std::uint32_t class_filter_priority = 0xfffe;

// One for all qdiscs: it keeps no state.
Result<int> class_program() {
    static std::mutex mutex;
    static UniqueFd program;
    const std::lock_guard lock(mutex);
    if (program) return program.get();
    auto* const skeleton = natra_class_bpf::open_and_load();
    if (skeleton == nullptr) return fail_errno(Error::Code::kernel, errno, "load BPF program of HTB's filter");
    program.reset(::fcntl(bpf_program__fd(skeleton->progs.natra_class), F_DUPFD_CLOEXEC, 3));
    const int error = errno;
    natra_class_bpf::destroy(skeleton);
    if (!program) return fail_errno(Error::Code::internal, error, "duplicate BPF descriptor");
    return program.get();
}

}  // namespace

Result<void> add_class_filter(Netlink& netlink, int ifindex) {
    const auto program = class_program();
    if (!program) return program.error();
    // The classes that it returns are of this qdisc.
    auto added =
        netlink.add_bpf_filter(ifindex, htb_handle, class_filter_priority, *program, class_filter_name, htb_handle);
    if (!added) return added.error();
    return {};
}

Result<bool> has_class_filter(Netlink& netlink, int ifindex) {
    const auto filters = netlink.filters(ifindex, htb_handle);
    if (!filters) return filters.error();
    return std::any_of(filters->begin(), filters->end(),
                       [](const BpfFilter& f) { return f.kind == "bpf" && f.name == class_filter_name; });
}

}  // namespace natra::datapath
