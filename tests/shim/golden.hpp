// SPDX-License-Identifier: Apache-2.0
// Network configurations as runtimes write them to a plugin's stdin.
#pragma once

#include <array>
#include <string>
#include <string_view>

namespace natra::shim::golden {

inline constexpr std::array<const char*, 5> versions = {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};

// containerd: Go structs without JSON names, MaxUint32 where nobody asked for a burst.
inline constexpr const char* containerd = R"({
  "cniVersion": "1.0.0", "name": "cbr0", "type": "bandwidth", "capabilities": {"bandwidth": true},
  "runtimeConfig": {"bandwidth":
    {"IngressRate": 10000000, "IngressBurst": 4294967295, "EgressRate": 0, "EgressBurst": 0}},
  "prevResult": {
    "cniVersion": "1.0.0",
    "interfaces": [
      {"name": "cni0", "mac": "5e:1b:95:7a:5c:01"},
      {"name": "veth12ab", "mac": "8e:5d:6f:2d:2c:11"},
      {"name": "eth0", "mac": "fe:11:bc:52:6a:f6", "sandbox": "/var/run/netns/cni-6d2f"}],
    "ips": [{"interface": 2, "address": "10.42.0.9/24", "gateway": "10.42.0.1"}],
    "routes": [{"dst": "10.42.0.0/16"}, {"dst": "0.0.0.0/0", "gw": "10.42.0.1"}],
    "dns": {}}})";

// CRI-O: lower camel case, MaxUint32 * 8 - 1.
inline constexpr const char* crio = R"({
  "cniVersion": "0.4.0", "name": "crio", "type": "bandwidth", "capabilities": {"bandwidth": true},
  "runtimeConfig": {"bandwidth":
    {"egressBurst": 34359738359, "egressRate": 5000000, "ingressBurst": 0, "ingressRate": 0}},
  "prevResult": {
    "cniVersion": "0.4.0",
    "interfaces": [
      {"name": "veth77aa", "mac": "8e:5d:6f:2d:2c:11"},
      {"name": "eth0", "mac": "fe:11:bc:52:6a:f6", "sandbox": "/var/run/netns/92b1"}],
    "ips": [{"version": "4", "interface": 1, "address": "10.85.0.4/16", "gateway": "10.85.0.1"}],
    "dns": {}}})";

// A configuration with `keys` (a text that ends with a comma, or empty) and a veth pair in prevResult.
inline std::string configuration(std::string_view version, std::string_view keys) {
    std::string text = R"({"name": "net", "type": "natra", "cniVersion": ")";
    text += version;
    text += R"(", )";
    text += keys;
    text += R"("prevResult": {"interfaces": [{"name": "veth1", "mac": "8e:5d:6f:2d:2c:11"},)"
            R"({"name": "eth0", "mac": "fe:11:bc:52:6a:f6", "sandbox": "/run/netns/pod"}]}})";
    return text;
}

}  // namespace natra::shim::golden
