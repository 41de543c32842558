// SPDX-License-Identifier: Apache-2.0
// Requests that the CNI shim left while natrad was away. A file with limits is
// an ADD to catch up with; {"Tombstone": true} is a DEL. Core thread only.
#pragma once

#include <set>
#include <string>

#include "daemon/pods/registry.hpp"

namespace natra::pods {

// Whether plugins are to tell natrad of pods without limits, too. Code::kernel if the mark cannot be changed.
Result<void> ask_for_every_pod(const std::string& directory, bool wanted);

class Spool {
public:
    Spool(std::string directory, EventLoop& core, Registry& registry);

    // Applies what is there, and from then on what appears.
    void start();

private:
    void put_taken_back() const;
    void apply_all();
    void apply(const std::string& name);
    void carry_out(const std::string& name, const std::string& text);
    void finished(const std::string& name, const std::string& text, const Result<void>& result);
    void remove_if_final(const std::string& name, const std::string& text, const Result<void>& result);
    // Removes the file if it still says `text`. False if a newer one has taken its place.
    [[nodiscard]] Result<bool> remove_applied(const std::string& name, const std::string& text) const;

    const std::string directory_;
    EventLoop& core_;
    Registry& registry_;
    UniqueFd watch_;                  // inotify
    std::set<std::string> applying_;  // not to be started twice
};

}  // namespace natra::pods
