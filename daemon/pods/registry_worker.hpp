// SPDX-License-Identifier: Apache-2.0
// For the files of Registry alone.
#pragma once

#include <memory>
#include <utility>

#include "daemon/pods/registry.hpp"

namespace natra::pods {

template <class Work, class Then> void Registry::on_worker(Work work, Then then, Worker::Duration delay) {
    using Outcome = decltype(work());
    // std::function wants copies; a descriptor inside `work` cannot be copied, so both are shared.
    auto shared_work = std::make_shared<Work>(std::move(work));
    auto shared_then = std::make_shared<Then>(std::move(then));
    // `then` moves along, to be destroyed on the core thread: it may hold the attachment's turn.
    auto task = [this, shared_work, shared_then = std::move(shared_then)]() mutable {
        std::shared_ptr<Outcome> outcome;
        try {
            outcome = std::make_shared<Outcome>((*shared_work)());
        } catch (const std::exception& e) {
            outcome = std::make_shared<Outcome>(fail(Error::Code::internal, e.what()));
        }
        core_.post([outcome, shared_then = std::move(shared_then)] { (*shared_then)(std::move(*outcome)); });
    };
    if (delay == Worker::Duration())
        worker_.post(std::move(task));
    else
        worker_.post_after(delay, std::move(task));
}

}  // namespace natra::pods
