// SPDX-License-Identifier: Apache-2.0
// Keeps natra in the chain of plugins that the runtime uses, and takes it out again.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "daemon/chain/conf_file.hpp"
#include "daemon/chain/record.hpp"

namespace natra::chain {

struct Settings {
    bool manage = false;
    // k3s keeps its own folder; the first of them that exist are all watched.
    std::vector<std::string> directories = {"/etc/cni/net.d", "/var/lib/rancher/k3s/agent/etc/cni/net.d"};
    std::vector<std::string> binary_directories = {"/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni",
                                                   "/var/lib/rancher/k3s/data/cni",
                                                   "/var/lib/rancher/k3s/data/current/bin"};
    std::string state_directory = "/var/lib/natra/chain";
};

// Core thread only. Reads and writes small files at once.
class Keeper {
public:
    using Clock = std::chrono::steady_clock;
    // Another writer that takes natra out again is given way to after so many times within the period.
    static constexpr std::size_t max_insertions = 5;
    static constexpr auto insertion_period = std::chrono::minutes(10);

    explicit Keeper(Settings settings) : settings_(std::move(settings)), records_(settings_.state_directory) {}

    // Makes the folders as they should be: with natra if the chain is managed, else as they were found.
    // To be called at start and after every change of a folder.
    void look(Clock::time_point now = Clock::now());

    // Removes what a natrad that was killed had begun to write. To be called at start.
    void remove_unfinished() const;

    // Looks for plugins that limit the same pods as natra in the chains in use, managed or not; changes nothing.
    void look_for_conflicts();

    // Takes natra out of every chain that it was put into.
    void release();

    // Sentences for status; empty when all is well.
    [[nodiscard]] std::vector<std::string> problems() const;
    [[nodiscard]] const Settings& settings() const { return settings_; }

private:
    void look_at(const std::string& directory, Clock::time_point now);
    std::string mend(const std::string& directory, Clock::time_point now);
    Result<void> insert(const ConfFile& file, const Edit& edit);
    Result<void> take_out(const Record& record);
    static Result<void> put_single_back(const Record& record);
    bool may_insert(const std::string& path, Clock::time_point now);

    Settings settings_;
    Records records_;
    std::map<std::string, std::deque<Clock::time_point>> insertions_;  // by path
    std::map<std::string, std::string> problems_;                      // by folder
    std::vector<std::string> conflicts_;
};

}  // namespace natra::chain
