// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/operations.hpp"

#include <deque>
#include <exception>
#include <map>
#include <utility>

#include "daemon/util/error.hpp"
#include "daemon/util/log.hpp"

namespace natra::pods {

struct Operations::Queues {
    struct Queue {
        std::deque<Operation> waiting;
        bool taken = false;    // an operation has its turn
        bool running = false;  // run_due() is at work here: it goes on with the next one
    };
    std::map<std::string, Queue> of;
};

Operations::Operations() : queues_(std::make_shared<Queues>()) {}

void Operations::run(const std::string& id, Operation operation) {
    queues_->of[id].waiting.push_back(std::move(operation));
    run_due(queues_, id);
}

bool Operations::busy(const std::string& id) const { return queues_->of.contains(id); }

// A loop: operations that end at once must not each take another piece of the stack.
void Operations::run_due(const std::shared_ptr<Queues>& queues, const std::string& id) {
    auto& queue = queues->of.at(id);
    if (queue.running) return;
    queue.running = true;
    while (!queue.taken && !queue.waiting.empty()) {
        const auto operation = std::move(queue.waiting.front());
        queue.waiting.pop_front();
        try {
            auto turn = std::make_shared<const Turn>(queues, id);
            queue.taken = true;
            operation(std::move(turn));
        } catch (const std::exception& e) {
            log::error(concat(id, ": operation failed: ", e.what()));
        }
    }
    queue.running = false;
    if (!queue.taken) queues->of.erase(id);
}

Operations::Turn::~Turn() {
    const auto queues = queues_.lock();
    if (!queues) return;
    queues->of.at(id_).taken = false;
    run_due(queues, id_);
}

}  // namespace natra::pods
