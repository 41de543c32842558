// SPDX-License-Identifier: Apache-2.0
// The built plugin, run as a runtime runs it.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/shim/process.hpp"
#include "tests/shim/scratch.hpp"

namespace natra::shim {

class Plugin {
public:
    // Without a bus, with a spool of its own.
    Plugin();

    // Variables of every later run; "" is as good as not set.
    std::string& operator[](const std::string& variable) { return variables_[variable]; }

    Outcome run(const std::string& command, const std::string& configuration) const;

    [[nodiscard]] const std::string& directory() const { return scratch_.path(); }
    [[nodiscard]] std::string spool_directory() const { return scratch_.path() + "/spool"; }
    // Where natrad's record of an attachment would be, and the folder of its pins.
    [[nodiscard]] std::string record(const std::string& id) const {
        return scratch_.path() + "/attachments/" + id + ".json";
    }
    [[nodiscard]] std::string pin_directory() const { return scratch_.path() + "/pins"; }
    // Names of the files in the spool.
    [[nodiscard]] std::vector<std::string> spooled() const;
    // The file's content; null if there is none.
    [[nodiscard]] nlohmann::json spooled(const std::string& name) const;

private:
    Scratch scratch_;
    Variables variables_;
};

// "1.1.0" as part of a test's name.
std::string version_name(const ::testing::TestParamInfo<const char*>& version);

// stdout as a JSON document, to the last byte; an object that matches nothing if it is none.
nlohmann::ordered_json document(const Outcome& outcome);

// The CNI error that a plugin must have printed: exit status 1, "code" and "msg" on stdout.
struct PrintedError {
    unsigned code = 0;
    std::string message;
    std::string details;
};
PrintedError printed_error(const Outcome& outcome);

}  // namespace natra::shim
