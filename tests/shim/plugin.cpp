// SPDX-License-Identifier: Apache-2.0
#include "tests/shim/plugin.hpp"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "daemon/util/files.hpp"

namespace natra::shim {

Plugin::Plugin()
    : variables_{{"CNI_CONTAINERID", "c1"},
                 {"CNI_NETNS", "/run/netns/natra-test-absent"},
                 {"CNI_IFNAME", "eth0"},
                 {"CNI_PATH", "/opt/cni/bin"},
                 {"DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent"},
                 {"NATRA_SPOOL_DIR", spool_directory()},
                 {"NATRA_RUNTIME_DIR", directory()},
                 {"NATRA_BPFFS_DIR", pin_directory()}} {}

Outcome Plugin::run(const std::string& command, const std::string& configuration) const {
    const char* const program = std::getenv("NATRA_SHIM");
    if (program == nullptr) throw std::runtime_error("NATRA_SHIM does not name the plugin");
    auto variables = variables_;
    variables["CNI_COMMAND"] = command;
    return run_program(program, variables, configuration);
}

std::vector<std::string> Plugin::spooled() const { return files::list(spool_directory()); }

nlohmann::json Plugin::spooled(const std::string& name) const {
    const auto text = files::read(spool_directory() + "/" + name, 1 << 20);
    return text ? nlohmann::json::parse(*text) : nlohmann::json();
}

std::string version_name(const ::testing::TestParamInfo<const char*>& version) {
    std::string name = version.param;
    std::replace(name.begin(), name.end(), '.', '_');
    return name;
}

nlohmann::ordered_json document(const Outcome& outcome) {
    auto out = nlohmann::ordered_json::parse(outcome.out, nullptr, false);
    if (out.is_discarded()) ADD_FAILURE() << "stdout is no JSON document: " << outcome.out;
    return out;
}

PrintedError printed_error(const Outcome& outcome) {
    EXPECT_EQ(outcome.status, 1) << outcome.out << outcome.err;
    const auto object = document(outcome);
    if (!object.is_object() || !object.contains("code") || !object.contains("msg")) {
        ADD_FAILURE() << "no CNI error: " << outcome.out;
        return {};
    }
    EXPECT_TRUE(outcome.out.starts_with("{\n    \"code\": ")) << outcome.out;
    EXPECT_FALSE(object.contains("cniVersion"));
    return {object["code"], object["msg"], object.value("details", "")};
}

}  // namespace natra::shim
