// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "tests/shim/process.hpp"

namespace natra::shim {

// A network namespace that is not the test's own, alive as long as this is.
class PodNetns {
public:
    // Throws std::runtime_error where neither root nor user namespaces are to be had.
    PodNetns();

    [[nodiscard]] std::string path() const;
    [[nodiscard]] std::uint64_t inode() const;

private:
    Pipe lifeline_;
    std::unique_ptr<Child> holder_;
};

}  // namespace natra::shim
