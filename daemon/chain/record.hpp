// SPDX-License-Identifier: Apache-2.0
// What natra did to a network configuration, so that it can be undone: by a
// later natrad, after a reboot, after other hands were at the file.
#pragma once

#include <string>
#include <vector>

#include "daemon/chain/conflist.hpp"
#include "daemon/util/error.hpp"

namespace natra::chain {

struct Record {
    std::string path;  // the file that was there
    Format format = Format::list;
    std::string original;  // its text
    std::string written;   // what natra made of it: at `path`, or at list_path_for(path) if that is a single plugin
    [[nodiscard]] std::string written_path() const;
};

// One JSON file each in `directory`, named after the path. Written before the configuration is touched.
class Records {
public:
    explicit Records(std::string directory) : directory_(std::move(directory)) {}

    [[nodiscard]] std::vector<Record> all() const;  // what cannot be read is logged and left out
    Result<void> put(const Record& record) const;
    void forget(const Record& record) const;

private:
    [[nodiscard]] std::string file_of(const std::string& path) const;
    std::string directory_;
};

}  // namespace natra::chain
