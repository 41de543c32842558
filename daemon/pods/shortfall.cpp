// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/shortfall.hpp"

#include "daemon/datapath/placement.hpp"

namespace natra::pods {

std::string shortfall(const Pod& pod, datapath::Direction direction) {
    if (!to_rates(pod.effective).of(direction) || pod.kernel.record.of(direction)) return "";
    const auto why = obstacle(pod.kernel.record, direction);
    return why.empty() ? "its limit was lost and could not be put back" : why;
}

bool is_in_force(const limits::Limits& limits, const datapath::AttachmentRecord& record) {
    auto rates = to_rates(limits);
    for (const auto direction : datapath::directions)
        if (!record.of(direction) && !obstacle(record, direction).empty()) rates.of(direction).reset();
    return rates == record.rates();
}

std::vector<std::string> shortfalls(const Pod& pod) {
    std::vector<std::string> out;
    for (const auto direction : datapath::directions)
        if (const auto why = shortfall(pod, direction); !why.empty())
            out.push_back(concat(describe(pod), ": ", to_string(direction), " is not limited: ", why));
    return out;
}

}  // namespace natra::pods
