// SPDX-License-Identifier: Apache-2.0
#include "tests/shim/private_bus.hpp"

#include <fstream>

namespace natra::shim {
namespace {

constexpr const char* configuration = R"(<!DOCTYPE busconfig PUBLIC
  "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path=DIRECTORY/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
  </policy>
</busconfig>
)";

}  // namespace

PrivateBus::PrivateBus(const std::string& directory) {
    std::string text = configuration;
    text.replace(text.find("DIRECTORY"), std::string("DIRECTORY").size(), directory);
    const auto file = directory + "/bus.conf";
    std::ofstream(file) << text;
    Pipe out;
    daemon_ = std::make_unique<Child>(
        spawn({"dbus-daemon", "--config-file=" + file, "--nofork", "--nopidfile", "--print-address"}, out.write.get()));
    out.write.reset();
    address_ = read_line(out.read.get());
}

}  // namespace natra::shim
