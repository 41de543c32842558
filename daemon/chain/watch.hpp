// SPDX-License-Identifier: Apache-2.0
// Calls the keeper whenever a configuration folder changes.
#pragma once

#include "daemon/chain/keeper.hpp"
#include "daemon/util/event_loop.hpp"
#include "daemon/util/unique_fd.hpp"

namespace natra::chain {

class Watch {
public:
    Watch(EventLoop& core, Keeper& keeper) : core_(core), keeper_(keeper) {}

    // Once. Looks at once, then at every change, and at folders that appear later within ten seconds.
    void start();

private:
    void look();
    void watch_folders();

    EventLoop& core_;
    Keeper& keeper_;
    UniqueFd inotify_;
};

}  // namespace natra::chain
