// SPDX-License-Identifier: Apache-2.0
// Operations on attachments: one at a time for each attachment, in the order in which they were asked for. Core
// thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace natra::pods {

class Operations {
    struct Queues;

public:
    // Whoever holds a turn works on the attachment. It ends with its last copy, on whatever way that goes: after an
    // exception, too. The last copy must go on the core thread.
    class Turn {
    public:
        Turn(std::weak_ptr<Queues> queues, std::string id) : queues_(std::move(queues)), id_(std::move(id)) {}
        ~Turn();
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;

    private:
        const std::weak_ptr<Queues> queues_;
        const std::string id_;
    };
    using Held = std::shared_ptr<const Turn>;
    using Operation = std::function<void(Held)>;

    Operations();

    // Runs the operation at once if no other one has its turn on the attachment, else after those before it. An
    // exception of the operation is logged.
    void run(const std::string& id, Operation operation);
    // The same for what a runtime waits for: those before it are asked not to wait for time.
    void run_urgently(const std::string& id, Operation operation);
    // Whether an urgent operation waits for its turn.
    [[nodiscard]] bool urged(const std::string& id) const;

    // Whether somebody has the turn on the attachment.
    [[nodiscard]] bool busy(const std::string& id) const;

private:
    void enqueue(const std::string& id, Operation operation, bool urgent);
    static void run_due(const std::shared_ptr<Queues>& queues, const std::string& id);

    const std::shared_ptr<Queues> queues_;
};

}  // namespace natra::pods
