// SPDX-License-Identifier: Apache-2.0
// Registry: the state files. A change is answered with success when it is in its file.
#include "daemon/pods/registry_worker.hpp"
#include "daemon/pods/state_file.hpp"
#include "daemon/util/files.hpp"
#include "daemon/util/log.hpp"

namespace natra::pods {
namespace {

Error refused(const Error& why) {
    return fail(Error::Code::unavailable, "nothing was changed, since the change cannot be recorded: ", why.what);
}

}  // namespace

Result<void> Registry::save(const Pod& pod) const { return files::write_atomically(state_path(pod.id), to_json(pod)); }

Result<void> Registry::keep(const Pod& pod) {
    if (provisional(pod)) look_again(pod.id);
    auto saved = save(pod);
    if (!saved) {
        const bool known = unrecorded_.contains(pod.id);
        unrecorded_[pod.id] = saved.error().what;
        if (!known) log::error(concat(pod.id, ": ", saved.error().what));
        return saved;
    }
    unrecorded_.erase(pod.id);
    worker_.post([this, id = pod.id] { engine_.confirm_switch(id); });
    return {};
}

// As operations, for what is recorded must not be the half of one that is under way.
void Registry::record_again() {
    for (const auto& [id, why] : unrecorded_) {
        if (operations_.busy(id)) continue;
        operations_.run(id, [this, id = id](const Operations::Held& turn) {
            core_.post([this, id, turn] {
                if (const auto* pod = find(id)) (void)keep(*pod);
            });
        });
    }
}

std::vector<std::string> Registry::not_recorded() const {
    std::vector<std::string> out;
    for (const auto& [id, why] : unrecorded_)
        if (const auto* pod = find(id))
            out.push_back(concat(describe(*pod), ": a restart of natrad would forget its last change: ", why));
    return out;
}

std::string Registry::state_path(const std::string& id) const { return concat(settings_.state_dir, "/", id, ".json"); }

void Registry::take_back_limits(const Pod& before, const Error& why, Done done) {
    change_rates(before.id, pods_.at(before.id).kernel, to_rates(before.effective),
                 [this, before, why, done](const Change& back) { taken_back(before, back, why, done); });
}

void Registry::take_back_data_path(const Pod& before, const Error& why, Done done) {
    switch_data_path(before.id, pods_.at(before.id).kernel, before.kernel.record.wish, {},
                     [this, before, why, done](const Change& back) { taken_back(before, back, why, done); });
}

void Registry::taken_back(const Pod& before, const Change& back, const Error& why, const Done& done) {
    auto& pod = pods_.at(before.id);
    pod.kernel = back.first;
    begin_watch(before.id, false);
    if (back.second) {
        pod.changes = before.changes;
        pod.effective = before.effective;
    }
    (void)keep(pod);
    tell_changed(pod);
    if (back.second) return done(refused(why));
    done(fail(Error::Code::internal, "the change is in force, but cannot be recorded: ", why.what,
              "; nor taken back: ", back.second.error().what));
}

}  // namespace natra::pods
