// SPDX-License-Identifier: Apache-2.0
// Registry: the node's configuration changes while attachments live.
#include "daemon/pods/registry_worker.hpp"
#include "daemon/util/log.hpp"

namespace natra::pods {

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
    for (const auto& [id, pod] : pods_) renew(id, one_is_over);
    one_is_over();
}

void Registry::renew(const std::string& id, std::function<void()> done) {
    enqueue(id, [this, id, done](std::function<void()> finish) {
        renew_now(id, [done, finish] {
            if (done) done();
            finish();
        });
    });
}

void Registry::renew_now(const std::string& id, std::function<void()> done) {
    const auto* pod = find(id);
    if (pod == nullptr) return done();
    const auto effective = effective_limits(pod->request, pod->changes, settings_.bursts);
    auto work = [this, kernel = pod->kernel, rates = to_rates(effective)]() mutable -> Result<Change> {
        auto result = engine_.change(kernel, rates);
        if (result) engine_.refresh(kernel);
        return Change(std::move(kernel), std::move(result));
    };
    on_worker(std::move(work), [this, id, effective, done](Result<Change> change) {
        if (!change) {
            log::error(concat(id, ": new configuration: ", change.error().what));
            return done();
        }
        auto& changed = pods_.at(id);
        changed.kernel = std::move(change->first);
        if (change->second)
            changed.effective = effective;
        else
            log::error(concat(id, ": new configuration: ", change->second.error().what));
        if (auto saved = save(changed); !saved) log::error(concat(id, ": ", saved.error().what));
        if (observer_ != nullptr) observer_->pod_changed(changed);
        done();
    });
}

}  // namespace natra::pods
