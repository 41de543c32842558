// SPDX-License-Identifier: Apache-2.0
// Registry: what an earlier natrad left, taken over. Each file ID.json stands for an attachment, whatever is in it: its
// pins are somebody's, and its programs go on until it is taken over, or its DEL or another ADD comes.
#include <algorithm>
#include <chrono>
#include <memory>
#include <set>
#include <utility>

#include "daemon/pods/announce.hpp"
#include "daemon/pods/attachment_id.hpp"
#include "daemon/pods/registry_worker.hpp"
#include "daemon/pods/state_file.hpp"
#include "daemon/util/files.hpp"
#include "daemon/util/log.hpp"
#include "daemon/util/staged.hpp"
#include "daemon/util/utf8.hpp"

namespace natra::pods {
namespace {

using Code = Error::Code;

constexpr std::size_t max_state_bytes = 1 << 20;
constexpr std::string_view extension = ".json";

// Empty if no attachment has this file.
std::string id_of(const std::string& name) {
    if (!name.ends_with(extension)) return "";
    const auto id = name.substr(0, name.size() - extension.size());
    const bool possible = std::all_of(id.begin(), id.end(), [](char c) {
        return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    });
    return possible ? id : "";
}

}  // namespace

Result<Pod> Registry::read_record(const std::string& id) const {
    const auto path = state_path(id);
    const auto text = files::read(path, max_state_bytes);
    if (!text) return text.error();
    auto pod = pod_from_json(*text);
    if (!pod) return Error{pod.error().code, pod.error().sys, concat(path, ": ", as_utf8(pod.error().what))};
    pod->id = attachment_id(pod->request.container_id, pod->request.interface_name);
    if (pod->id != id) return fail(Code::invalid_argument, path, ": is the record of ", pod->id);
    pod->kernel.record.id = pod->id;
    return pod;
}

void Registry::adopt(std::function<void()> done) {
    if (auto r = files::make_directory(settings_.state_dir); !r) log::error(r.error().what);
    // Only the natrad that holds the lock writes here.
    files::remove_staged(settings_.state_dir, std::chrono::seconds(0));
    std::vector<Pod> found;
    std::set<std::string> recorded;
    const auto names = files::entries(settings_.state_dir);
    // Then nobody's pins are known to be nobody's.
    const auto unlisted = names ? std::string() : names.error().what;
    for (const auto& name : names ? *names : std::vector<std::string>()) {
        const auto id = id_of(name);
        if (id.empty()) {
            log::warning(concat("no attachment has such a record: ", settings_.state_dir, "/", name));
            continue;
        }
        recorded.insert(id);
        auto pod = read_record(id);
        if (pod)
            found.push_back(*std::move(pod));
        else
            note_unadopted(id, pod.error().what);
    }
    using Adopted = std::vector<std::pair<Pod, Result<datapath::Attached>>>;
    const auto others = std::make_shared<datapath::OtherLimiters>();   // set on the worker, read after it
    const auto pinned = std::make_shared<std::vector<std::string>>();  // the same
    auto work = [this, found, recorded, others, pinned, unlisted]() -> Result<Adopted> {
        Adopted out;
        if (auto seen = engine_.other_limiters()) *others = *std::move(seen);
        for (const auto& pod : found) out.emplace_back(pod, engine_.adopt(pod.kernel.record));
        *pinned = engine_.pinned();
        if (!unlisted.empty()) return out;
        // Made by a natrad that died before it recorded them.
        for (const auto& id : *pinned)
            if (!recorded.contains(id)) engine_.remove_pins(id);
        return out;
    };
    on_worker(std::move(work), [this, found, done, others, pinned, unlisted](Result<Adopted> adopted) {
        node_others_ = *others;
        if (!unlisted.empty())
            for (const auto& id : *pinned) note_unadopted(id, unlisted);
        if (adopted)
            for (auto& [pod, kernel] : *adopted) take_over(std::move(pod), std::move(kernel));
        else
            for (const auto& pod : found) note_unadopted(pod.id, adopted.error().what);
        done();
        for (const auto& [id, pod] : pods_) put_in_force_as_configured(pod);
        // Ends that were announced meanwhile met empty books.
        drop_dead();
    });
}

void Registry::take_over(Pod pod, Result<datapath::Attached> kernel) {
    if (!kernel && kernel.error().code != Code::no_device) {
        announce(log::Level::error, log::events::not_adopted, pod, concat("not adopted: ", kernel.error().what));
        return note_unadopted(pod.id, kernel.error().what);
    }
    if (!kernel) {
        announce(log::Level::warning, log::events::ended_while_away, pod, concat("dropped: ", kernel.error().what));
        ++statistics_.adoptions.dropped;
        worker_.post([this, id = pod.id] { engine_.remove_pins(id); });
        unadopted_.erase(pod.id);
        if (auto r = files::remove(state_path(pod.id)); !r) log::error(r.error().what);
        return;
    }
    pod.kernel = *std::move(kernel);
    others_[pod.id] = others_on(node_others_, pod);
    pod.effective = in_force(pod.id, pod.request, pod.changes);
    (void)keep(pod);
    announce(log::events::adopted, "adopted", pod);
    announce_shortfalls(pod);
    tamper_events_ += pod.tamper_events;
    ++statistics_.adoptions.adopted;
    add(std::move(pod));
}

// It was recorded under another configuration than that of now, or one of its directions is lost.
void Registry::put_in_force_as_configured(const Pod& pod) {
    if (pod.kernel.record.wish != wish_for(pod) || pod.kernel.record.rates() != to_rates(pod.effective))
        renew(pod.id, node_configuration, {});
}

void Registry::note_unadopted(const std::string& id, const std::string& why) {
    const auto [known, first] = unadopted_.try_emplace(id);
    if (first) ++statistics_.adoptions.failed;
    if (std::exchange(known->second, why) != why)
        log::error(concat("not adopted, but left in force: attachment ", id, ": ", why));
    adopt_later();
}

// A passing cause goes, and somebody may put the file right. Less and less often: neither may ever happen.
void Registry::adopt_later() {
    if (adopt_later_due_) return;
    adopt_later_due_ = true;
    core_.after(adopt_again_us_, "adopt again", [this] {
        adopt_later_due_ = false;
        std::vector<std::string> ids;
        for (const auto& [id, why] : unadopted_) ids.push_back(id);
        for (const auto& id : ids)
            operations_.run(id, [this, id](const Operations::Held& turn) { adopt_again(id, turn); });
        if (ids.empty()) adopt_again_us_ = retry_us;
    });
    adopt_again_us_ = std::min(2 * adopt_again_us_, retry_most_us);
}

void Registry::adopt_again(const std::string& id, const Operations::Held& turn) {
    if (!unadopted_.contains(id)) return;
    const auto pod = read_record(id);
    if (!pod && pod.error().code == Code::not_found) {
        // Somebody removed the file: the pins are nobody's now.
        unadopted_.erase(id);
        on_worker(
            [this, id]() -> Result<void> {
                engine_.remove_pins(id);
                return {};
            },
            [turn](const Result<void>&) {});
        return;
    }
    if (!pod) {
        note_unadopted(id, pod.error().what);
        return;
    }
    on_worker([this, record = pod->kernel.record] { return engine_.adopt(record); },
              [this, found = *pod, turn](Result<datapath::Attached> kernel) {
                  take_over(found, std::move(kernel));
                  if (const auto* now = find(found.id)) {
                      put_in_force_as_configured(*now);
                      drop_if_dead(found.id);
                  }
              });
}

std::vector<std::string> Registry::not_adopted() const {
    std::vector<std::string> out;
    for (const auto& [id, why] : unadopted_)
        out.push_back(concat("attachment ", id, " stays as an earlier natrad left it, and cannot be changed: ", why));
    return out;
}

}  // namespace natra::pods
