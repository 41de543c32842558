// SPDX-License-Identifier: Apache-2.0
// Registry: attachments that a runtime no longer knows.
#include <memory>

#include "daemon/pods/registry.hpp"

namespace natra::pods {

void Registry::collect_garbage(const std::string& network, const ValidAttachments& valid, CollectDone done) {
    struct Collection {
        std::size_t running = 1;  // this function itself
        std::vector<std::string> removed;
    };
    auto collection = std::make_shared<Collection>();
    const auto finish_one = [collection, done] {
        if (--collection->running == 0) done(std::move(collection->removed));
    };
    std::vector<std::pair<std::string, AttachmentName>> garbage;
    for (const auto& [id, pod] : pods_) {
        const auto& request = pod.request;
        if (request.network == network && !valid.contains({request.container_id, request.interface_name}))
            garbage.emplace_back(id, AttachmentName{request.container_id, request.interface_name, network});
    }
    for (const auto& [id, name] : garbage) {
        ++collection->running;
        detach_for(name, concat("the runtime does not know it any more in the network ", network),
                   [collection, finish_one, id = id](const Result<void>&) {
                       collection->removed.push_back(id);
                       finish_one();
                   });
    }
    finish_one();
}

}  // namespace natra::pods
