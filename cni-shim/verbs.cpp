// SPDX-License-Identifier: Apache-2.0
#include "cni-shim/verbs.hpp"

#include <filesystem>
#include <optional>
#include <utility>

#include "cni-shim/configuration.hpp"
#include "cni-shim/diagnostics.hpp"
#include "cni-shim/natrad.hpp"
#include "cni-shim/netns.hpp"
#include "cni-shim/opened_interface.hpp"
#include "cni-shim/valid_attachments.hpp"
#include "daemon/cni/previous_result.hpp"
#include "daemon/cni/wanted.hpp"

namespace natra::shim {
namespace {

using log::Level;

constexpr const char* no_output = "";

CniError unreachable(CniCode code, const Answer& answer) {
    return {code, concat("natrad does not answer: ", answer.text), ""};
}

// The text is natrad's, which has upstream's where upstream has one.
CniError refusal(const Answer& answer) {
    const bool later = answer.error == "io.natra.Error.Unavailable";
    return {later ? CniCode::try_again_later : CniCode::internal, answer.text, ""};
}

// Everything that ADD and CHECK learn from their configuration.
struct Task {
    Wanted wanted;
    std::optional<Json> previous;
};

CniResult<Task> read_task(const Environment& environment, const Envelope& envelope) {
    auto previous = read_previous_result(envelope);
    if (!previous) return previous.error();
    auto wanted = read_wanted(envelope.document);
    if (!wanted) return wanted.error();
    for (const auto& problem : wanted->problems) report(Level::warning, environment, problem);
    return Task{*std::move(wanted), *std::move(previous)};
}

Identity identity_of(const Environment& environment, const Envelope& envelope) {
    std::error_code ignored;
    // natrad has another working directory.
    const auto netns = std::filesystem::absolute(environment.netns, ignored).string();
    return {.container_id = environment.container_id,
            .interface = environment.interface,
            .network = envelope.name,
            .netns_path = netns.empty() ? environment.netns : netns,
            .pod_namespace = environment.pod_namespace,
            .pod_name = environment.pod_name,
            .pod_uid = environment.pod_uid};
}

struct Target {
    UniqueFd netns;
    Request request;
};

CniResult<Target> make_target(const Environment& environment, const Envelope& envelope, const Task& task) {
    auto netns = open_netns(environment.netns);
    if (!netns) return CniError{CniCode::internal, netns.error().what, ""};
    auto names = host_interfaces(*task.previous);
    if (!names) return names.error();
    if (task.wanted.policy.strict_interfaces && !lists_interfaces(*task.previous))
        return CniError{CniCode::internal, "no interfaces provided", ""};
    auto request = make_request(identity_of(environment, envelope), task.wanted, *std::move(names));
    request.opened = identify(netns->get(), environment.interface);
    return Target{*std::move(netns), std::move(request)};
}

void warn_if_failed(const Result<void>& result, const Environment& environment, std::string_view what) {
    if (!result) report(Level::error, environment, concat(what, ": ", result.error().what));
}

void add_later(const Environment& environment, const Spool& spool, const Request& request, const Answer& answer) {
    const auto kept = spool.put(request, answer.may_have_arrived);
    const auto outlook = kept ? std::string("until natrad catches up")
                              : concat("and natrad will not learn of them: ", kept.error().what);
    report(kept ? Level::warning : Level::error, environment,
           concat("natrad does not answer (", answer.text, "); the pod starts without its limits ", outlook));
}

CniResult<std::string> add(const Environment& environment, const Envelope& envelope, const Spool& spool) {
    if (!environment.own_netns_allowed && is_own_netns(environment.netns))
        return CniError{CniCode::invalid_netns, "plugin's netns and netns from CNI_NETNS should not be the same", ""};
    const auto task = read_task(environment, envelope);
    if (!task) return task.error();
    if (!task->previous) return CniError{CniCode::internal, "must be called as chained plugin", ""};
    auto result = print_result(*task->previous, envelope.version);
    // A default or a ceiling of natrad's may limit a pod that asks for nothing. Nothing else may stop it.
    const bool asks = task->wanted.concerns_natrad();
    if (!asks && !spool.wants_every_pod()) return result;
    const auto target = make_target(environment, envelope, *task);
    if (!target && asks) return target.error();
    if (!target) {
        report(Level::warning, environment, concat("not limited by natrad's rules: ", target.error().message));
        return result;
    }

    // What waits is older than this call.
    warn_if_failed(spool.remove(environment), environment, "an older call of this attachment stays in the spool");
    const auto answer = Natrad(task->wanted.policy.timeout).attach(target->netns.get(), target->request);
    if (answer.kind == Answer::Kind::refused) {
        if (asks || !task->wanted.policy.fail_open) return refusal(answer);
        report(Level::warning, environment, concat("not limited by natrad's rules: ", answer.text));
    }
    if (answer.kind == Answer::Kind::away) {
        if (!task->wanted.policy.fail_open) return unreachable(CniCode::try_again_later, answer);
        add_later(environment, spool, target->request, answer);
    }
    return result;
}

// What ADD let pass, CHECK must not stop, and CRI-O checks right after ADD: the request waits, or a natrad that lives
// but cannot be reached over the bus has carried it out. Empty if it is neither.
std::string why_check_passes(const Environment& environment, const Stores& stores) {
    // In this order: natrad records what it carries out before it takes it from the spool.
    const auto waiting = stores.spool.content(environment);
    if (waiting == Spool::Content::request || waiting == Spool::Content::sent_request)
        return "the limits still wait for it";
    if (waiting != Spool::Content::tombstone && stores.natrad.has_record(environment))
        return "it has recorded the limits as being in force";
    return "";
}

CniResult<std::string> check(const Environment& environment, const Envelope& envelope, const Stores& stores) {
    const auto task = read_task(environment, envelope);
    if (!task) return task.error();
    if (!task->previous) return CniError{CniCode::internal, "must be called as a chained plugin", ""};
    if (!task->wanted.concerns_natrad()) return std::string(no_output);
    const auto target = make_target(environment, envelope, *task);
    if (!target) return target.error();

    const auto answer = Natrad(task->wanted.policy.timeout).check(target->netns.get(), target->request);
    if (answer.kind == Answer::Kind::refused) return refusal(answer);
    if (answer.kind == Answer::Kind::done) return std::string(no_output);
    if (!task->wanted.policy.fail_open) return unreachable(CniCode::try_again_later, answer);
    const auto why = why_check_passes(environment, stores);
    if (why.empty()) return unreachable(CniCode::try_again_later, answer);
    report(Level::warning, environment, concat("natrad does not answer (", answer.text, "); ", why));
    return std::string(no_output);
}

CniResult<std::string> del(const Environment& environment, const Envelope& envelope, const Stores& stores) {
    const auto policy = read_policy_leniently(envelope.document);
    const auto waiting = stores.spool.content(environment);
    // First, so that natrad cannot apply it after the Detach.
    warn_if_failed(stores.spool.remove(environment), environment, "an ADD stays in the spool");
    const auto answer = Natrad(policy.timeout).detach(environment.container_id, environment.interface, envelope.name);
    if (answer.kind == Answer::Kind::done) return std::string(no_output);
    const bool natrad_never_knew = answer.kind == Answer::Kind::away && waiting == Spool::Content::request;
    if (natrad_never_knew) return std::string(no_output);
    report(Level::warning, environment,
           concat(answer.kind == Answer::Kind::away ? "natrad does not answer (" : "natrad could not detach (",
                  answer.text, "); the removal waits in the spool"));
    warn_if_failed(stores.spool.put_tombstone(environment, envelope.name), environment, "natrad will not be told");
    // A device that goes back to the host now loses its qdiscs and filters on the way, but no tcx program.
    if (answer.kind == Answer::Kind::away)
        warn_if_failed(stores.natrad.remove_links(environment), environment,
                       "a tcx program stays until natrad is back");
    return std::string(no_output);
}

CniResult<std::string> status(const Envelope& envelope) {
    const auto policy = read_policy(envelope.document);
    if (!policy) return policy.error();
    // Pods start without natrad, so the node is ready without it.
    if (policy->fail_open) return std::string(no_output);
    const auto answer = Natrad(policy->timeout).status();
    if (answer.kind == Answer::Kind::refused) return CniError{CniCode::not_available, answer.text, ""};
    if (answer.kind == Answer::Kind::away) return unreachable(CniCode::not_available, answer);
    return std::string(no_output);
}

CniResult<std::string> collect_garbage(const Environment& environment, const Envelope& envelope) {
    const auto valid = read_valid_attachments(envelope.document);
    if (!valid) return valid.error();
    const auto policy = read_policy_leniently(envelope.document);
    if (!*valid) {
        report(Level::notice, environment,
               concat("network ", envelope.name, ": GC without cni.dev/valid-attachments; nothing is removed"));
        return std::string(no_output);
    }
    const auto answer = Natrad(policy.timeout).collect_garbage(envelope.name, **valid);
    if (answer.kind == Answer::Kind::refused) return refusal(answer);
    if (answer.kind == Answer::Kind::away) {
        if (!policy.fail_open) return unreachable(CniCode::try_again_later, answer);
        // It notices by itself when a pod's devices go away.
        report(Level::warning, environment,
               concat("network ", envelope.name, ": natrad does not answer (", answer.text, "); nothing is removed"));
    }
    return std::string(no_output);
}

}  // namespace

CniResult<std::string> run(const Environment& environment, std::string_view input, const Stores& stores) {
    if (environment.verb == Verb::version) return version_reply();
    auto envelope = read_envelope(input);
    if (!envelope && environment.verb == Verb::del && envelope.error().code == CniCode::decoding_failure) {
        report(Level::warning, environment, concat("DEL goes by the container alone: ", envelope.error().message));
        return del(environment, Envelope{.name = "", .version = "", .document = Json::object()}, stores);
    }
    if (!envelope) return envelope.error();
    if (auto r = check_version(environment.verb, envelope->version); !r) return r.error();
    switch (environment.verb) {
    case Verb::add: return add(environment, *envelope, stores.spool);
    case Verb::check: return check(environment, *envelope, stores);
    case Verb::del: return del(environment, *envelope, stores);
    case Verb::status: return status(*envelope);
    case Verb::gc: return collect_garbage(environment, *envelope);
    case Verb::version: break;
    }
    return version_reply();
}

}  // namespace natra::shim
