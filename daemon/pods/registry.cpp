// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/registry.hpp"

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include "daemon/pods/announce.hpp"
#include "daemon/pods/attachment_id.hpp"
#include "daemon/pods/registry_worker.hpp"
#include "daemon/pods/state_file.hpp"
#include "daemon/pods/stock_plugin.hpp"
#include "daemon/pods/subnets.hpp"
#include "daemon/util/files.hpp"
#include "daemon/util/log.hpp"

namespace natra::pods {
namespace {

using Code = Error::Code;

// Of a pod that was found running, whoever found it tells.
void tell_not_attached(const AttachRequest& request, const std::string& id, const Error& why) {
    if (request.running) return;
    log::write(log::Level::warning, log::events::not_attached,
               concat("not attached: container ", request.container_id, " ", request.interface_name, ": ", why.what),
               identity_fields(request, id));
}

// The two speak of the same interface, not only of the same name.
bool same_interface(const datapath::AttachmentRecord& a, const datapath::AttachmentRecord& b) {
    return a.host_ifindex == b.host_ifindex && a.pod_ifindex == b.pod_ifindex && a.netns == b.netns &&
           a.netns_cookie == b.netns_cookie;
}

}  // namespace

Registry::Registry(RegistrySettings settings, EventLoop& core, Worker& worker, datapath::Engine& engine)
    : settings_(std::move(settings)), core_(core), worker_(worker), engine_(engine) {}

const Pod* Registry::find(const std::string& id) const {
    const auto it = pods_.find(id);
    return it == pods_.end() ? nullptr : &it->second;
}

void Registry::attach(AttachRequest request, UniqueFd netns, AttachDone done) {
    const AttachDone counted = [this, done, begin = std::chrono::steady_clock::now()](Result<std::string> r) {
        statistics_.attached(std::chrono::steady_clock::now() - begin, r ? nullptr : &r.error());
        done(std::move(r));
    };
    interpret(request);
    const auto id = attachment_id(request.container_id, request.interface_name);
    if (auto valid = validate(request); !valid) {
        tell_not_attached(request, id, valid.error());
        return counted(valid.error());
    }
    auto fd = std::make_shared<UniqueFd>(std::move(netns));
    operations_.run_urgently(id, [this, id, request, fd, counted](const Operations::Held& turn) {
        if (request.running && (find(id) != nullptr || unadopted_.contains(id))) {
            counted(fail(Code::already_exists, "attachment ", id, " is known"));
            return;
        }
        attach_now(id, request, std::move(*fd), [counted, turn](Result<std::string> r) { counted(std::move(r)); });
    });
}

void Registry::attach_now(const std::string& id, AttachRequest request, UniqueFd netns, AttachDone done) {
    std::optional<datapath::Attached> before;
    if (const auto* known = find(id)) before = known->kernel;
    const auto effective = wanted(request, {});
    const auto running = request.running.value_or(Running{});
    datapath::AttachSpec spec{.id = id,
                              .netns_path = request.netns_path,
                              .device = request.interface_name,
                              .strict = request.strict_interfaces,
                              .host_devices = request.host_interfaces,
                              .subnets = to_table(request.subnets),
                              .stock_ifb = stock_ifb_name(request.network, request.container_id),
                              .stock_root = running.stock,
                              .opened = request.opened,
                              .rates = to_rates(effective),
                              .wish = wish_of({.by_operator = {}, .pod = request.pins, .node = settings_.pins})};
    auto replaced = std::make_shared<bool>(false);  // set on the worker, read after it
    auto work = [this, before, spec, replaced, network = request.network,
                 fd = std::move(netns)]() mutable -> Result<datapath::Attached> {
        spec.netns_fd = fd.get();
        if (before) {
            const auto same = engine_.is_for(before->record, spec);
            if (!same) return same.error();
            if (*same)
                return fail(
                    Code::already_exists, "attachment ", spec.id, ": file exists: an earlier ADD has limited ",
                    spec.device, " already, and no DEL came between; \"plugins\" of network \"", network,
                    "\" may name natra twice (as \"natra\", or as \"bandwidth\" where that is a link to natra): "
                    "leave one");
            *replaced = true;
            if (auto r = engine_.detach(*before); !r) log::warning(concat(spec.id, ": replaced: ", r.error().what));
        }
        return engine_.attach(spec);
    };
    auto then = [this, id, request, effective, done, replaced,
                 generation = generation_](Result<datapath::Attached> result) {
        if (*replaced) drop(id);
        for (const auto& warning : request.warnings)
            log::write(log::Level::warning, log::events::annotation_ignored, concat(id, ": ", warning),
                       identity_fields(request, id));
        if (!result) {
            if (effective.any() || request.annotated) tell_not_attached(request, id, result.error());
            // A pod that asks for no limit must not be stopped by an interface that cannot be limited.
            if (!request.limits.any() && result.error().code != Code::already_exists) return done(std::string());
            return done(std::move(result).error());
        }
        Pod pod{.id = id,
                .request = request,
                .effective = effective,
                .kernel = *std::move(result),
                .attached_at_usec = now_realtime_usec()};
        if (auto saved = save(pod); !saved && request.running) {
            // The limiter that it had is gone.
            log::error(concat(id, ": ", saved.error().what));
            unrecorded_[id] = saved.error().what;
        } else if (!saved) {
            // Unrecorded, a restart could not find it: better no limit than one that nobody can remove.
            tell_not_attached(request, id, saved.error());
            on_worker([this, kernel = pod.kernel] { return engine_.detach(kernel); },
                      [done, saved](const Result<void>&) { done(saved.error()); });
            return;
        }
        if (request.running)
            announce(log::events::found_running, effective.any() ? "adopted running pod" : "listed", pod);
        else
            announce(log::events::attached, "attached", pod);
        announce_shortfalls(pod);
        pod.request.running.reset();
        // natrad may be unable to enter the namespace of an interface without a host side: a look tells.
        const bool to_look_at = pod.kernel.record.stock_root || !pod.kernel.record.has_host_side();
        add(std::move(pod));
        if (to_look_at) look_again(id);
        done(id);
        // The configuration may have changed meanwhile.
        if (generation != generation_) renew(id, node_configuration, {});
        // Its end may have been announced before it was in the books.
        drop_if_dead(id);
    };
    on_worker(std::move(work), std::move(then));
}

void Registry::detach(const AttachmentName& name, Done done) {
    detach_for(name, "as its runtime asked", std::move(done));
}

void Registry::detach_for(const AttachmentName& name, const std::string& why, Done done) {
    const auto id = attachment_id(name.container_id, name.interface_name);
    operations_.run_urgently(id, [this, id, name, why, done](const Operations::Held& turn) {
        const auto* pod = find(id);
        // A DEL of a runtime that knows no network is about the one of the ADD.
        const auto& network = name.network.empty() && pod != nullptr ? pod->request.network : name.network;
        detach_now(id, network.empty() ? "" : stock_ifb_name(network, name.container_id), why, done, turn);
    });
}

void Registry::detach_now(const std::string& id, const std::string& stock_ifb, const std::string& why, const Done& done,
                          const Operations::Held& turn) {
    const auto* pod = find(id);
    std::optional<datapath::Attached> kernel;
    if (pod != nullptr) kernel = pod->kernel;
    const bool unadopted = unadopted_.contains(id);
    if (unadopted)
        if (const auto recorded = read_record(id)) kernel = recorded->kernel;
    if (!kernel && !unadopted && stock_ifb.empty()) {
        done({});
        return;
    }
    on_worker(
        [this, id, kernel, unadopted, stock_ifb]() -> Result<void> {
            const auto leftover = engine_.remove_stock_ifb(stock_ifb);
            if (!leftover) log::warning(concat(id, ": ", leftover.error().what));
            if (kernel) return engine_.detach(*kernel);
            // Filters and qdiscs that no readable record names go with their devices.
            if (unadopted) engine_.remove_pins(id);
            return {};
        },
        [this, id, why, done, turn](const Result<void>& result) {
            if (const auto* gone = find(id))
                log::write(log::Level::info, log::events::detached, concat("detached ", describe(*gone), ": ", why),
                           identity_fields(gone->request, id));
            // What could not be removed goes with the device; the pod must not stay for it.
            if (!result) log::warning(concat(id, ": detach: ", result.error().what));
            drop(id);
            done({});
        });
}

void Registry::check(AttachRequest request, UniqueFd netns, Done done) {
    interpret(request);
    if (auto valid = validate(request); !valid) return done(valid.error());
    const auto id = attachment_id(request.container_id, request.interface_name);
    auto fd = std::make_shared<UniqueFd>(std::move(netns));
    operations_.run(id, [this, id, request, fd, done](const Operations::Held& turn) {
        const auto over = [done, turn](Result<void> r) { done(std::move(r)); };
        const auto* pod = find(id);
        if (const auto why = unadopted_.find(id); why != unadopted_.end())
            return over(fail(Code::mismatch, "attachment ", id, " is not in natrad's hands: ", why->second));
        if (pod == nullptr && !request.limits.any()) return over({});
        if (pod == nullptr)
            return over(fail(Code::mismatch, "Failed to find attachment of container ", request.container_id, " ",
                             request.interface_name));
        const auto same = [](const limits::Limit& a, const limits::Limit& b) {
            return a.rate_bps == b.rate_bps && a.burst_bits == b.burst_bits &&
                   a.heavy_threshold_bytes == b.heavy_threshold_bytes;
        };
        if (!same(pod->request.limits.ingress, request.limits.ingress) ||
            !same(pod->request.limits.egress, request.limits.egress))
            return over(fail(Code::mismatch, "Rate doesn't match: ", id, " was attached with ingress ",
                             pod->request.limits.ingress.rate_bps, " and egress ", pod->request.limits.egress.rate_bps,
                             " bit/s"));
        if (pod->request.subnets != request.subnets)
            return over(fail(Code::mismatch, "Subnets don't match: ", id, " was attached with others"));
        on_worker(
            [this, kernel = pod->kernel, fd, network = request.network,
             ifb = stock_ifb_name(request.network, request.container_id)]() -> Result<void> {
                const auto live = engine_.same_device(kernel.record, fd->get(), kernel.record.pod_device);
                if (!live) return live.error();
                if (!*live) return fail(Code::mismatch, kernel.record.id, ": another interface is in its place");
                const auto leftover = engine_.find_stock_ifb(ifb);
                if (!leftover) return leftover.error();
                if (*leftover)
                    return fail(Code::mismatch, kernel.record.id, ": the stock bandwidth plugin's ", ifb,
                                " is there, too: take \"bandwidth\" out of \"plugins\" of network \"", network,
                                "\", natra does its work");
                return engine_.check(kernel, fd->get());
            },
            over);
    });
}

void Registry::set_limits(const std::string& id, Override changes, const std::string& by, Done done) {
    edit_limits(
        id, [edit = to_edit(changes)](const Pod&) { return edit; }, by, std::move(done));
}

void Registry::edit_limits(const std::string& id, Edit edit_of, const std::string& by, Done done) {
    operations_.run(id, [this, id, edit_of = std::move(edit_of), by, done](const Operations::Held& turn) {
        const auto over = [done, turn](Result<void> r) { done(std::move(r)); };
        const auto* pod = find(id);
        if (pod == nullptr) return over(fail(Code::not_found, "no attachment ", id));
        const auto edit = edit_of(*pod);
        if (!edit) return over(edit.error());
        if (!edit->any()) return over({});
        const auto changes = edited(pod->changes, *edit);
        if (auto valid = validate(changes, granted_to(pod->request)); !valid) return over(valid.error());
        change_now(id, stamped(changes, by), edit->egress.any(), by, over);
    });
}

void Registry::reset_limits(const std::string& id, const std::string& by, Done done) {
    operations_.run(id, [this, id, by, done](const Operations::Held& turn) {
        Override cleared;
        if (const auto* pod = find(id)) cleared.pins = pod->changes.pins;
        change_now(id, stamped(cleared, by), true, by, [done, turn](Result<void> r) { done(std::move(r)); });
    });
}

void Registry::change_now(const std::string& id, const Override& changes, bool lift, const std::string& by, Done done) {
    const auto* pod = find(id);
    if (pod == nullptr) return done(fail(Code::not_found, "no attachment ", id));
    const auto effective = in_force(id, pod->request, changes);
    auto then = [this, id, changes, effective, lift, by, done](const Change& outcome) {
        auto& changed = pods_.at(id);
        const auto before = changed;
        changed.kernel = outcome.first;
        begin_watch(id, lift);
        if (!outcome.second) {
            // What was restored may be other kernel objects than before.
            (void)keep(changed);
            tell_changed(changed);
            return done(outcome.second);
        }
        changed.changes = changes;
        changed.effective = effective;
        if (auto kept = keep(changed); !kept) return take_back_limits(before, kept.error(), done);
        ++statistics_.limit_changes;
        announce_change(log::events::limits_changed, "changed", changed, by);
        announce_shortfalls(changed);
        tell_changed(changed);
        done({});
    };
    const auto& egress = pod->kernel.record.egress;
    if (!lift || !egress || !egress->backstop) return change_rates(id, pod->kernel, to_rates(effective), then);
    // An operator's word about egress is a new beginning for the pod's own side.
    on_worker(
        [this, kernel = pod->kernel]() mutable -> Result<datapath::Attached> {
            if (auto r = engine_.lift_backstop(kernel); !r) log::warning(concat("backstop stays: ", r.error().what));
            return kernel;
        },
        [this, id, rates = to_rates(effective), before = pod->kernel, then](const Result<datapath::Attached>& kernel) {
            if (!kernel) return then(Change(before, kernel.error()));
            change_rates(id, *kernel, rates, then);
        });
}

void Registry::device_deleted(int ifindex) {
    std::vector<datapath::AttachmentRecord> dead;
    for (const auto& [id, pod] : pods_)
        if (pod.kernel.record.has_host_side() && pod.kernel.record.host_ifindex == ifindex)
            dead.push_back(pod.kernel.record);
    for (const auto& record : dead) drop_as_dead(record.id, record);
}

void Registry::drop_as_dead(const std::string& id, const datapath::AttachmentRecord& dead) {
    operations_.run_urgently(id, [this, id, dead](const Operations::Held& turn) {
        const auto* pod = find(id);
        // By now another ADD may have put a living interface in its place.
        if (pod == nullptr || !same_interface(pod->kernel.record, dead)) return;
        detach_now(
            id, stock_ifb_name(pod->request.network, pod->request.container_id),
            concat(describe_device(dead), " is gone"), [](const Result<void>&) {}, turn);
    });
}

void Registry::drop_if_dead(const std::string& id) {
    const auto* pod = find(id);
    if (pod == nullptr) return;
    on_worker([this, record = pod->kernel.record] { return engine_.alive(record); },
              [this, id, record = pod->kernel.record](const Result<bool>& alive) {
                  if (alive && !*alive) drop_as_dead(id, record);
              });
}

void Registry::drop_dead() {
    for (const auto& [id, pod] : pods_) drop_if_dead(id);
}

void Registry::sweep() {
    using Records = std::vector<datapath::AttachmentRecord>;
    Records records;
    for (const auto& [id, pod] : pods_)
        if (!pod.kernel.record.has_host_side()) records.push_back(pod.kernel.record);
    // A worker that waits for the kernel is not to find a pile of the same questions afterwards.
    if (sweeping_ || records.empty()) return;
    sweeping_ = true;
    auto work = [this, records]() -> Result<Records> {
        Records dead;
        for (const auto& record : records)
            if (const auto alive = engine_.alive(record); alive && !*alive) dead.push_back(record);
        return dead;
    };
    on_worker(std::move(work), [this](const Result<Records>& dead) {
        sweeping_ = false;
        if (!dead) return log::error(concat("sweep: ", dead.error().what));
        for (const auto& record : *dead) drop_as_dead(record.id, record);
    });
}

void Registry::add(Pod pod) {
    const auto id = pod.id;
    unadopted_.erase(id);
    begin_watch(id, true);
    survey_soon();
    if (const auto* known = find(id)) forget_places(*known);
    const auto [it, inserted] = pods_.insert_or_assign(id, std::move(pod));
    note_places(it->second);
    if (provisional(it->second)) look_again(id);
    tell_added(it->second);
}

void Registry::drop(const std::string& id) {
    if (auto r = files::remove(state_path(id)); !r) log::error(r.error().what);
    watches_.erase(id);
    others_.erase(id);
    unrecorded_.erase(id);
    unadopted_.erase(id);
    passages_.erase(id);
    const auto gone = pods_.find(id);
    if (gone == pods_.end()) return;
    forget_places(gone->second);
    pods_.erase(gone);
    ++statistics_.ended;
    tell_removed(id);
}

// What an observer fails at is its own loss: the change that it is told of has been made.
void Registry::notify(const std::function<void(Observer&)>& tell_it) {
    ++revision_;
    if (observer_ == nullptr) return;
    try {
        tell_it(*observer_);
    } catch (const std::exception& e) {
        log::error(concat("an observer of attachments failed: ", e.what()));
    }
}

void Registry::tell_added(const Pod& pod) {
    notify([&](Observer& observer) { observer.pod_added(pod); });
}

void Registry::tell_changed(const Pod& pod) {
    notify([&](Observer& observer) { observer.pod_changed(pod); });
}

void Registry::tell_removed(const std::string& id) {
    notify([&](Observer& observer) { observer.pod_removed(id); });
}

}  // namespace natra::pods
