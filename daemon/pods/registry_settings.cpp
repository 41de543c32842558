// SPDX-License-Identifier: Apache-2.0
// Registry: configuration and data path change while attachments live.
#include "daemon/pods/announce.hpp"
#include "daemon/pods/registry_worker.hpp"
#include "daemon/pods/shortfall.hpp"
#include "daemon/util/log.hpp"
#include "daemon/util/may_pass.hpp"

namespace natra::pods {
namespace {

constexpr std::uint64_t renewal_retry_us = 5'000'000;

}  // namespace

void Registry::reconfigure(RegistrySettings settings, const datapath::HeavyThreshold& heavy,
                           std::function<void()> done) {
    settings.state_dir = settings_.state_dir;
    settings_ = std::move(settings);
    ++generation_;
    worker_.post([this, heavy] { engine_.set_heavy_threshold(heavy); });
    const auto left = std::make_shared<std::size_t>(pods_.size() + 1);
    const auto one_is_over = [left, done] {
        if (--*left == 0) done();
    };
    for (const auto& [id, pod] : pods_) renew(id, node_configuration, one_is_over);
    one_is_over();
}

void Registry::renew(const std::string& id, const std::string& by, std::function<void()> done) {
    operations_.run(id, [this, id, by, done](const Operations::Held& turn) {
        renew_now(id, by, [done, turn] {
            if (done) done();
        });
    });
}

// One timer an attachment, however often somebody asks.
void Registry::renew_later(const std::string& id, const std::string& by) {
    if (!renewing_later_.insert(id).second) return;
    core_.after(renewal_retry_us, "renew again", [this, id, by] {
        renewing_later_.erase(id);
        renew(id, by, {});
    });
}

void Registry::renew_now(const std::string& id, const std::string& by, std::function<void()> done) {
    const auto* pod = find(id);
    if (pod == nullptr) return done();
    const auto effective = in_force(id, pod->request, pod->changes);
    auto renewed = [this, id, effective, by, done](const Change& change) {
        auto& changed = pods_.at(id);
        const auto before = describe_limits(changed);
        const auto limits_before = changed.effective;
        changed.kernel = change.first;
        begin_watch(id, false);
        // Where only the data path could not be switched, the limits are the new ones.
        if (is_in_force(effective, changed.kernel.record)) changed.effective = effective;
        if (!change.second) log::error(concat(id, ": new configuration: ", change.second.error().what));
        if (!change.second && may_pass(change.second.error())) renew_later(id, by);
        if (describe_limits(changed) != before)
            announce_change(changed.effective == limits_before ? log::events::data_path_changed
                                                               : log::events::limits_changed,
                            changed.effective == limits_before ? "switched" : "changed", changed, by);
        (void)keep(changed);
        tell_changed(changed);
        done();
    };
    change_rates(id, pod->kernel, to_rates(effective),
                 [this, id, wish = wish_for(*pod), renewed](const Change& change) {
                     if (!change.second || change.first.record.wish == wish) return renewed(change);
                     switch_data_path(id, change.first, wish, {}, renewed);
                 });
}

datapath::Wish Registry::wish_for(const Pod& pod) const {
    return wish_of({.by_operator = pod.changes.pins, .pod = pod.request.pins, .node = settings_.pins});
}

void Registry::set_data_path(const std::string& id, PinsChange change, const std::string& by, Done done) {
    operations_.run(id, [this, id, change, by, done](const Operations::Held& turn) {
        const auto over = [done, turn](Result<void> r) { done(std::move(r)); };
        const auto* pod = find(id);
        if (pod == nullptr) return over(fail(Error::Code::not_found, "no attachment ", id));
        const auto pins = pods::changed(pod->changes.pins, change);
        if (auto valid = validate(pins, "EdtPacing", "Shaper"); !valid) return over(valid.error());
        pin_now(id, pins, by, over);
    });
}

void Registry::reset_data_path(const std::string& id, const std::string& by, Done done) {
    operations_.run(id, [this, id, by, done](const Operations::Held& turn) {
        pin_now(id, {}, by, [done, turn](Result<void> r) { done(std::move(r)); });
    });
}

void Registry::pin_now(const std::string& id, const Pins& pins, const std::string& by, Done done) {
    const auto* pod = find(id);
    if (pod == nullptr) return done(fail(Error::Code::not_found, "no attachment ", id));
    const auto wish = wish_of({.by_operator = pins, .pod = pod->request.pins, .node = settings_.pins});
    const datapath::Engine::Insist insist{.attach_mode = pins.attach_mode != datapath::AttachMode::automatic,
                                          .shaper = pins.shaper.has_value() ||
                                                    pins.edt_pacing != datapath::EdtPacing::automatic};
    switch_data_path(id, pod->kernel, wish, insist, [this, id, pins, by, done](const Change& change) {
        auto& changed = pods_.at(id);
        const auto before = changed;
        changed.kernel = change.first;
        begin_watch(id, false);
        if (change.second) {
            changed.changes.pins = pins;
            changed.changes = stamped(changed.changes, by);
        }
        auto kept = keep(changed);
        if (!change.second) return done(change.second);
        if (!kept) return take_back_data_path(before, kept.error(), done);
        announce_change(log::events::data_path_changed, "switched", changed, by);
        tell_changed(changed);
        done({});
    });
}

}  // namespace natra::pods
