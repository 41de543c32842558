// SPDX-License-Identifier: Apache-2.0
#include "api/selector.hpp"

#include "api/problem.hpp"
#include "api/text.hpp"

namespace natra::api {
namespace {

using pods::Pod;

// A pod that takes part in everything has a few interfaces; a prefix of one letter may fit hundreds.
constexpr std::size_t most_candidates = 20;

template <class Fits> std::vector<const Pod*> all_of(const std::map<std::string, Pod>& pods, Fits fits) {
    std::vector<const Pod*> out;
    for (const auto& [id, pod] : pods)
        if (fits(pod)) out.push_back(&pod);
    return out;
}

Response ambiguous(const std::string& name, const std::vector<const Pod*>& candidates) {
    auto list = Json::array();
    for (const auto* pod : candidates) {
        if (list.size() == most_candidates) break;
        list.push_back({{"id", pod->id},
                        {"containerId", pod->request.container_id},
                        {"namespace", pod->request.pod_namespace},
                        {"name", pod->request.pod_name},
                        {"interface", pod->request.interface_name}});
    }
    return problem(
        409,
        concat(in_quotes(name), " fits ", candidates.size(), " attachments: name one by its id, or add ?interface="),
        {{"field", "id"}, {"value", name}, {"candidates", list}});
}

}  // namespace

std::variant<const Pod*, Response> select(const std::map<std::string, Pod>& pods, const std::string& name,
                                          const std::string& interface) {
    const auto wanted = [&](const Pod& pod) { return interface.empty() || pod.request.interface_name == interface; };
    if (const auto by_id = pods.find(name); by_id != pods.end() && wanted(by_id->second)) return &by_id->second;
    auto found = all_of(pods, [&](const Pod& pod) { return wanted(pod) && pod.request.container_id == name; });
    if (found.empty())
        found = all_of(pods, [&](const Pod& pod) {
            const auto& request = pod.request;
            return wanted(pod) && !request.pod_name.empty() &&
                   concat(request.pod_namespace, "/", request.pod_name) == name;
        });
    if (found.empty())
        found = all_of(pods, [&](const Pod& pod) { return wanted(pod) && pod.request.container_id.starts_with(name); });
    if (found.size() == 1) return found.front();
    if (!found.empty()) return ambiguous(name, found);
    return wrong_value(404, "id", name,
                       interface.empty() ? "no such attachment"
                                         : concat("no such attachment with the interface ", in_quotes(interface)));
}

}  // namespace natra::api
