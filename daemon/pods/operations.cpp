// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods/operations.hpp"

#include <algorithm>
#include <deque>
#include <exception>
#include <map>
#include <utility>

#include "daemon/util/error.hpp"
#include "daemon/util/log.hpp"

namespace natra::pods {

struct Operations::Queues {
    struct Waiting {
        Operation operation;
        bool urgent = false;
    };
    struct Queue {
        std::deque<Waiting> waiting;
        bool taken = false;    // an operation has its turn
        bool running = false;  // run_due() is at work here: it goes on with the next one
    };
    std::map<std::string, Queue> of;
};

Operations::Operations() : queues_(std::make_shared<Queues>()) {}

void Operations::run(const std::string& id, Operation operation) { enqueue(id, std::move(operation), false); }

void Operations::run_urgently(const std::string& id, Operation operation) { enqueue(id, std::move(operation), true); }

void Operations::enqueue(const std::string& id, Operation operation, bool urgent) {
    queues_->of[id].waiting.push_back({.operation = std::move(operation), .urgent = urgent});
    run_due(queues_, id);
}

bool Operations::urged(const std::string& id) const {
    const auto found = queues_->of.find(id);
    if (found == queues_->of.end()) return false;
    const auto& waiting = found->second.waiting;
    return std::any_of(waiting.begin(), waiting.end(), [](const auto& each) { return each.urgent; });
}

bool Operations::busy(const std::string& id) const { return queues_->of.contains(id); }

// A loop: operations that end at once must not each take another piece of the stack.
void Operations::run_due(const std::shared_ptr<Queues>& queues, const std::string& id) {
    auto& queue = queues->of.at(id);
    if (queue.running) return;
    queue.running = true;
    while (!queue.taken && !queue.waiting.empty()) {
        const auto operation = std::move(queue.waiting.front().operation);
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
