// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/degraded.hpp"

#include "daemon/pods/shortfall.hpp"

namespace natra::pods {

std::vector<std::string> degraded(const Registry& registry, const datapath::Engine& engine,
                                  const std::vector<std::string>& troubles) {
    std::vector<std::string> out;
    if (!engine.features().fq && !engine.features().htb)
        out.emplace_back("the kernel has neither fq nor HTB: limits are policed, heavy flows lose packets");
    for (const auto& [id, pod] : registry.pods())
        for (auto& sentence : shortfalls(pod)) out.push_back(std::move(sentence));
    for (auto& sentence : impossible_on(engine.features(), registry.settings().pins))
        out.push_back(std::move(sentence));
    out.insert(out.end(), troubles.begin(), troubles.end());
    if (const auto error = engine.pool().last_error()) out.push_back("no new attachment: " + error->what);
    for (auto& trouble : registry.troubles()) out.push_back(std::move(trouble));
    return out;
}

}  // namespace natra::pods
