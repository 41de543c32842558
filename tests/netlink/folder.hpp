// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace natra::pods::testing {

// A folder on a disk, gone with all that is in it when the test is over.
class Folder {
public:
    Folder() { EXPECT_NE(::mkdtemp(path_.data()), nullptr); }
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_ = "/tmp/natra-registry-test-XXXXXX";
};

}  // namespace natra::pods::testing
