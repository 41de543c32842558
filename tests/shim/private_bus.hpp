// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "tests/shim/process.hpp"

namespace natra::shim {

// A dbus-daemon of the test's own, without services to activate.
class PrivateBus {
public:
    explicit PrivateBus(const std::string& directory);

    [[nodiscard]] const std::string& address() const { return address_; }
    void kill() { daemon_->kill(); }

private:
    std::string address_;
    std::unique_ptr<Child> daemon_;
};

}  // namespace natra::shim
