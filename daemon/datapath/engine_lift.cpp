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

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

// For HTB: nothing waits but for what was sent before, which is still paid for at the old rate: one packet's time.
constexpr Rate unlimited{.rate_bps = 1'000'000'000'000'000};

// Nor does TCP's pacing hold anything back in fq.
constexpr natra_config let_pass{.mode = NATRA_MODE_OFF, .flags = NATRA_F_AT_ONCE};

}  // namespace

Result<void> Engine::lift(Attached& attached, Direction direction, PodSide* pod, Time until) {
    const auto& shaping = *attached.record.of(direction);
    const bool queue = shaping.shaper != Shaper::police && (!shaping.pod_side || pod != nullptr);
    if (queue && until != Time())
        if (auto r = let_out(attached, direction, pod, until); !r && r.error().code != Error::Code::no_device)
            log::warning(concat(attached.record.id, ": ", to_string(direction), " limit lifted: ", r.error().what));
    return stop(attached, direction, pod);
}

// From here on nothing is held back. What comes now queues behind what HTB's class of heavy flows holds; with fq it
// overtakes what waits there for the times that were set. A natrad that dies here leaves it to the next one to put
// the recorded rate back.
Result<void> Engine::let_out(Attached& attached, Direction direction, PodSide* pod, Time until) {
    const auto& shaping = *attached.record.of(direction);
    const auto where = point(attached.record, direction, shaping.pod_side, shaping.hook.device_egress, pod);
    attached.instance(direction)->configure(let_pass);
    if (shaping.shaper == Shaper::htb) {
        const auto config = config_for(attached.record, unlimited, shaping.shaper, direction);
        if (auto r = where.netlink.change_htb(where.ifindex, htb_shape(unlimited, config)); !r) return r;
    }
    // Each look is told to whoever listens to the namespace's qdiscs.
    for (auto pause = 1ms;; pause = std::min(2 * pause, 16ms)) {
        const auto root = root_of(where);
        if (!root) return root.error();
        if (!*root || (*root)->handle != shaper_handle(shaping.shaper) || (*root)->queued_packets == 0) return {};
        if (Clock::now() >= until)
            return fail(Error::Code::unavailable, (*root)->queued_packets, " packets that still wait at ", where.device,
                        " are lost");
        std::this_thread::sleep_for(pause);
    }
}

}  // namespace natra::datapath
