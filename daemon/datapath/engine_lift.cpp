// SPDX-License-Identifier: Apache-2.0
// Engine: a limit that is lifted while its pod lives on. With a qdisc goes what it holds, so that leaves first.
#include <algorithm>
#include <chrono>
#include <thread>

#include "daemon/datapath/engine.hpp"
#include "daemon/datapath/shaper.hpp"
#include "daemon/util/log.hpp"

namespace natra::datapath {
namespace {

using namespace std::chrono_literals;

// HTB: as good as no limit, so that only what is sent already is waited for.
constexpr Rate unlimited{.rate_bps = 1'000'000'000'000'000};

// The rest is lost with the qdisc: the kernel worker has other pods to serve.
constexpr std::chrono::nanoseconds longest_wait = 500ms;

// TCP's pacing must not hold anything back in fq any more: what is in there when it goes is lost.
constexpr natra_config let_pass{.mode = NATRA_MODE_OFF, .flags = NATRA_F_AT_ONCE};

// For a moment in which fq is empty, behind what waited.
constexpr std::chrono::nanoseconds fq_grace = 20ms;

}  // namespace

Result<void> Engine::lift(Attached& attached, Direction direction, PodSide* pod, Waiting waiting) {
    const auto& shaping = *attached.record.of(direction);
    const bool queue = shaping.shaper != Shaper::police && (!shaping.pod_side || pod != nullptr);
    if (queue && waiting == Waiting::let_out)
        if (auto r = let_out(attached, direction, pod); !r && r.error().code != Error::Code::no_device)
            log::warning(concat(attached.record.id, ": ", to_string(direction), " limit lifted: ", r.error().what));
    return stop(attached, direction, pod);
}

// From here on nothing is held back, and all stays in order: the program leaves packets alone, and what comes
// now queues behind what HTB's class of heavy flows holds. fq sends that at the times that were set. A natrad
// that dies here leaves it to the next one to put the recorded rate back.
Result<void> Engine::let_out(Attached& attached, Direction direction, PodSide* pod) {
    const auto& shaping = *attached.record.of(direction);
    const auto where = point(attached.record, direction, shaping.pod_side, shaping.hook.device_egress, pod);
    auto& instance = *attached.instance(direction);
    const auto begin = std::chrono::steady_clock::now();
    const std::chrono::nanoseconds scheduled(instance.queued_ns());
    instance.configure(let_pass);
    if (shaping.shaper == Shaper::htb) {
        const auto config = config_for(attached.record, unlimited, shaping.shaper, direction);
        if (auto r = where.netlink.change_htb(where.ifindex, htb_shape(unlimited, config)); !r) return r;
    }
    const auto enough = shaping.shaper == Shaper::edt ? std::min(scheduled + fq_grace, longest_wait) : longest_wait;
    for (;;) {
        const auto root = root_of(where);
        if (!root) return root.error();
        if (!*root || (*root)->handle != shaper_handle(shaping.shaper) || (*root)->queued_packets == 0) return {};
        if (std::chrono::steady_clock::now() - begin >= enough) {
            if (enough < longest_wait) return {};
            return fail(Error::Code::unavailable, (*root)->queued_packets, " packets at ", where.device,
                        " have not left within ", longest_wait / 1ms, " ms and are lost");
        }
        std::this_thread::sleep_for(1ms);
    }
}

}  // namespace natra::datapath
