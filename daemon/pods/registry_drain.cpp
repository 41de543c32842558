// SPDX-License-Identifier: Apache-2.0
// Registry: limits are lifted and shapers switched without loss of what waits, in several turns of the worker: one
// that prepares, short ones that look whether all has left, and one that carries the change out. Between them the
// worker serves other attachments; this one's operations wait behind this one.
//
// A natrad that dies in between leaves a program that lets all pass, or less than usual wait. What is recorded is
// unchanged, and adoption puts it in force.

#include <algorithm>
#include <chrono>
#include <optional>

#include "daemon/pods/registry_worker.hpp"
#include "daemon/util/clock.hpp"
#include "daemon/util/log.hpp"

namespace natra::pods {
namespace {

// A caller waits as long. With a switch the pod is limited all the time, and its queue shrinks at its rate.
constexpr std::uint64_t longest_lift_us = 500'000;
constexpr std::uint64_t longest_switch_us = 2'000'000;
// Each look inside a pod enters its namespace, and costs the worker some tenths of a millisecond.
constexpr std::uint64_t first_pause_us = 1'000;
constexpr std::uint64_t longest_pause_us = 16'000;

}  // namespace

void Registry::change_rates(const std::string& id, const datapath::Attached& kernel, const datapath::Rates& rates,
                            Changed then) {
    auto prepare = [this, kernel, rates] { return engine_.prepare_change(kernel, rates); };
    auto carry_out = [this, kernel, rates] {
        auto changed = kernel;
        auto result = engine_.change(changed, rates);
        if (result) engine_.refresh(changed);
        return Change(std::move(changed), std::move(result));
    };
    drain_first(id, {kernel, std::move(prepare), std::move(carry_out), longest_lift_us}, std::move(then));
}

void Registry::switch_data_path(const std::string& id, const datapath::Attached& kernel, const datapath::Wish& wish,
                                const datapath::Engine::Insist& insist, Changed then) {
    auto prepare = [this, kernel, wish] { return engine_.prepare_switch(kernel, wish); };
    auto carry_out = [this, kernel, wish, insist] {
        auto switched = kernel;
        auto result = engine_.switch_to(switched, wish, insist);
        return Change(std::move(switched), std::move(result));
    };
    drain_first(id, {kernel, std::move(prepare), std::move(carry_out), longest_switch_us}, std::move(then));
}

void Registry::drain_first(const std::string& id, Steps steps, Changed then) {
    leaving_[id] = {.until_us = monotonic_us() + steps.longest_us, .pause_us = first_pause_us};
    const auto kernel = steps.kernel;
    auto finish = [this, id, kernel, carry_out = steps.carry_out, then] {
        left(id);
        on_worker([carry_out]() -> Result<Change> { return carry_out(); },
                  [kernel, then](const Result<Change>& change) {
                      if (change) return then(*change);
                      then(Change(kernel, change.error()));
                  });
    };
    // Where nothing has to leave it is one turn.
    struct Begun {
        datapath::Drain drain;
        std::optional<Change> change;
    };
    auto begin = [steps = std::move(steps)]() -> Result<Begun> {
        Begun begun{.drain = steps.prepare(), .change = {}};
        if (!begun.drain.any()) begun.change = steps.carry_out();
        return begun;
    };
    on_worker(std::move(begin), [this, id, kernel, finish, then](const Result<Begun>& begun) {
        // What it has prepared must not stay so.
        if (!begun) return finish();
        if (!begun->change) return look_whether_drained(id, kernel, begun->drain, finish);
        left(id);
        then(*begun->change);
    });
}

// What it has let out is no overrun of its rate.
void Registry::left(const std::string& id) {
    leaving_.erase(id);
    const auto watch = watches_.find(id);
    if (watch == watches_.end()) return;
    watch->second.ingress = {};
    watch->second.egress = {};
}

void Registry::look_whether_drained(const std::string& id, const datapath::Attached& kernel,
                                    const datapath::Drain& drain, std::function<void()> go_on) {
    auto& leaving = leaving_.at(id);
    const auto pause = std::chrono::microseconds(leaving.pause_us);
    leaving.pause_us = std::min(2 * leaving.pause_us, longest_pause_us);
    on_worker([this, kernel, drain] { return engine_.drained(kernel, drain); },
              [this, id, kernel, drain, go_on = std::move(go_on)](const Result<bool>& drained) {
                  const auto& now = leaving_.at(id);
                  if (drained && *drained) return go_on();
                  if (!drained && drained.error().code != Error::Code::no_device)
                      log::warning(concat(id, ": what waits in its qdisc cannot be seen: ", drained.error().what));
                  // The attachment is to go or to be replaced.
                  if (!drained || operations_.urged(id)) return go_on();
                  if (monotonic_us() < now.until_us) return look_whether_drained(id, kernel, drain, go_on);
                  log::warning(concat(id, ": packets that still wait in a qdisc that goes are lost"));
                  go_on();
              },
              pause);
}

}  // namespace natra::pods
